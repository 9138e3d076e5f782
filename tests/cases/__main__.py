"""`make cases`: every case on real PostgreSQL, as many at a time as there are processors; one line at the end.

Exit status 0 only when every case holds.  `--only TEXT` plays those whose name contains it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from hybrid_sync_cli.stack import binaries
from tests.cases.case import playable
from tests.cases.pool import play_all


def main() -> int:
    parser = argparse.ArgumentParser(prog="make cases", description=__doc__)
    parser.add_argument("--only", default="", help="cases whose kind/name contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    options = parser.parse_args()
    wanted = [name for name in playable(binaries.find()) if options.only in name]
    if not wanted:
        print(f"There is no case with {options.only} in its name.", file=sys.stderr)
        return 1
    began = time.monotonic()
    held = 0
    for name, wrong in play_all(wanted, options.jobs):
        held += not wrong
        for text in wrong:
            print(f"{name}: {text}", flush=True)
    print(f"CASES run={len(wanted)} held={held} seconds={time.monotonic() - began:.0f}")
    return 0 if held == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
