"""Rows of the target whose legacy rows are gone: found, guarded, removed by policy."""
