"""Taking back what a run wrote, where its rows still are what it left."""

from datetime import timedelta

JOURNAL_KEPT = timedelta(days=35)
