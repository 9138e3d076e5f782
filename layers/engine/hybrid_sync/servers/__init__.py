"""Database servers as they are reached: what a connection string may say, whom we trust, and why one refuses us."""
