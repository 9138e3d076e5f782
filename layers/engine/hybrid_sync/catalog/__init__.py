"""What is synced: the entities of a project, read from YAML, checked, ordered into waves, compiled to SQL."""
