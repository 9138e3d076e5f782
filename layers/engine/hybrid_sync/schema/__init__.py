"""The structure of both sides: our own schema in the target, what the tables look like, and the plans made of it."""
