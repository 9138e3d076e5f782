"""What takes longer than ten minutes: large tables, many workers, slow networks, the deployed stack."""
