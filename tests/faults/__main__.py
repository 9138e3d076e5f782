"""`python -m tests.faults`: see `command`.  Kept light, because every new worker process imports this file."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from tests.faults.command import main

    sys.exit(main())
