"""What `catalog check` looks at beyond the files' grammar: syntax offline, and the databases that are named."""
