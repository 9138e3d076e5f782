"""The REST way to the target: for runs of a few keys, through PostgREST, with the statements of the direct way."""
