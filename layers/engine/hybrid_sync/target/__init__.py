"""Writing the target: connection, schema, stage, journal, isolate."""
