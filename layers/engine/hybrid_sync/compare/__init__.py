"""Whether the data is right: both sides compared by keys, references, money and rows."""
