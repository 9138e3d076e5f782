"""How long a critical event takes from its request to the target, on a stack of the benchmark's own."""
