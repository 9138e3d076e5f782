"""The hybrid-sync engine: carries a legacy PostgreSQL into Supabase, row by row and to the cent."""

import gc
import sys

# Importing makes many objects and drops few: a collection for each 700 of them would be a tenth of a cold start.
gc.set_threshold(10_000, *gc.get_threshold()[1:])
if "awslambdaric" in sys.modules:
    # AWS's runtime client is starting a function: nothing is worth collecting until `wiring` is there, its last import.
    gc.disable()
