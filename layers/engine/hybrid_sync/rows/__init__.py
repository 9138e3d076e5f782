"""The hot path: binary rows scanned for their integer keys, and UUIDs spliced over them."""
