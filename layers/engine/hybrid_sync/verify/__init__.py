"""Whether the data is right: conservation of rows, and of money."""
