"""The state machine file, played: `execution` interprets it, `conduct` answers it, `functions` are the engine's own."""
