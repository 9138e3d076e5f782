"""Each reason for which a server takes no writes is told apart: another person settles it."""

from __future__ import annotations

import pytest

from hybrid_sync.servers.read_only import _told

SAID = {
    (True, "off", "default"): "is a standby",
    (False, "on", "user"): 'alter role "w" reset default_transaction_read_only',
    (False, "on", "database"): 'alter database "d" reset default_transaction_read_only',
    (False, "on", "database user"): 'alter role "w" in database "d" reset default_transaction_read_only',
    (False, "on", "configuration file"): "by the server's configuration",
    (False, "off", "default"): "takes them now",
}


@pytest.mark.parametrize("found", SAID)
def test_who_keeps_a_target_from_taking_writes_is_named(found: tuple[bool, str, str]) -> None:
    assert SAID[found] in " ".join(_told("target", *found, "w", "d"))
