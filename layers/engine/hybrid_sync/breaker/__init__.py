"""A circuit breaker per database: attempts that would only wait fail at once, and one at a time tries again."""
