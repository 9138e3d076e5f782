"""What a caller may be allowed over HTTP: the words that tokens carry and endpoints ask for."""

from __future__ import annotations

from hybrid_sync.services.roles import Role

READ = "syncs:read"
"""To look: runs, holds, failed records, freshness; keys, codes and counts, never a value."""
WRITE = "syncs:write"
"""To start runs of named rows and entities."""
ON_FAILURE = "syncs:on_failure"
"""To say that a failed run is undone, or its entities held: others cannot write these until a person releases them."""
OPERATE = "syncs:operate"
"""To do what an operator does: whole runs, cancel, roll back, release, accept and redrive failed records."""
ERASE = "syncs:erase"
"""To have persons erased, or recorded as merged, as far as the catalog lets programs do that; nothing undoes it."""
SCOPES = (READ, WRITE, ON_FAILURE, OPERATE, ERASE)
USUAL_SCOPES = (READ, WRITE)
OF_ROLE: dict[Role, tuple[str, ...]] = {
    Role.viewer: (READ,),
    Role.operator: (READ, WRITE, ON_FAILURE, OPERATE),
    Role.admin: SCOPES,
}
"""What somebody who has signed in is allowed; each role at least what those before it are."""
