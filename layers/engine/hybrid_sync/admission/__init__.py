"""Admission: which runs may start, in which order, and how many at once."""
