"""What `catalog check` looks at beyond the files' grammar while no database is near."""
