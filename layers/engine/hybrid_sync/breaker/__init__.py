"""A circuit breaker per database: who would only wait in vain is told at once, and one at a time tries again."""
