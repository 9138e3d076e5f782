"""The probes, by what they look at; a function here that is a `probe` is in the table."""
