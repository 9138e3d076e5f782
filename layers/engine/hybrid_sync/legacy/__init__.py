"""Reading legacy: the fence, what changed, and the rows; never a write."""
