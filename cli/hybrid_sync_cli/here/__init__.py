"""The engine in this process, for the day when AWS is away."""
