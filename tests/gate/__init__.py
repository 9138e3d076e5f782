"""Admission tried out: many actors, every interleaving a seed can choose, and crashes between any two calls to AWS."""
