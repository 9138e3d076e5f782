"""Runs: how they start, what they plan, what they record."""
