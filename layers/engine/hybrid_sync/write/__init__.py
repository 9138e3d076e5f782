"""Writing the target: stage, journal, isolate, links, tombstones."""
