"""The hybrid-sync engine: carries a legacy PostgreSQL into Supabase, row by row and to the cent."""

import gc
import os

# Importing makes many objects and drops few: a collection for each 700 of them would be a tenth of a cold start.
gc.set_threshold(10_000, *gc.get_threshold()[1:])
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # A cold start, in which nothing is worth collecting; `wiring`, which each function imports, ends this.
    gc.disable()
