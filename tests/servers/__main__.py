"""`python -m tests.servers MAJOR` prints the bin folder of that PostgreSQL, for HYBRID_SYNC_PG_BIN."""

from __future__ import annotations

import sys

from tests.servers import versions

print(versions.of(int(sys.argv[1])).folder)
