"""What the dashboard shows and its JSON says: counts, amounts, keys and codes of the whole deployment; never a cell."""
