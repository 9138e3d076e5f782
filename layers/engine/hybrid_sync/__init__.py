"""The hybrid-sync engine: carries a legacy PostgreSQL into Supabase, row by row and to the cent."""

import gc
import sys

# Importing makes many objects and drops few: a collection for each 700 of them would be a tenth of a cold start.  And a
# page's 20,000 keys are dropped as they come: to look at each of them on the way would be a thirtieth of a first load.
gc.set_threshold(50_000, *gc.get_threshold()[1:])
if "awslambdaric" in sys.modules:
    # AWS's runtime client is starting a function: nothing is worth collecting until `wiring` is there, its last import.
    gc.disable()
