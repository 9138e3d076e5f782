"""People who are erased: their rows go or lose what is personal, and nothing writes them again."""
