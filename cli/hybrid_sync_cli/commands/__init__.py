"""One module per group of commands; each exposes `commands: list[click.Command]`."""
