"""The fingerprint of the id secret in the target: whoever comes with another secret is refused before it mints an id.

64 bits of an HMAC: they tell two secrets apart, and nobody finds the secret by them.
"""

from __future__ import annotations

import hashlib
import hmac

from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.postgres import Question

_PURPOSE = b"hybrid-sync: fingerprint of the id secret"
_LETTERS = 16


def fingerprint(secret: bytes) -> str:
    """16 hexadecimal digits."""
    return hmac.new(secret, _PURPOSE, hashlib.sha256).hexdigest()[:_LETTERS]


def recording(secret: bytes) -> Question[None]:
    """Record it where none is; what is there stays."""
    return Question(
        "insert into hybrid_sync.id_secret (fingerprint) values (%s) on conflict do nothing", (fingerprint(secret),),
        lambda _: None,
    )  # fmt: skip


def asking_same(secret: bytes) -> Question[None]:
    """Raises ConfigurationMissing where the target's ids are made under another secret."""
    return Question(
        "select fingerprint from hybrid_sync.id_secret",
        None,
        lambda found: require_same(secret, *(found.fetchone() or (None,))),
    )


def require_same(secret: bytes, known: str | None) -> None:
    """The same of what was asked; None is a target that no run has planned for yet."""
    if known is not None and not hmac.compare_digest(known, fingerprint(secret)):
        raise ConfigurationMissing(
            "The id secret is not the one under which the ids of this target are made.",
            "Bring that one back from its offline copy: hybrid-sync install --restore-secret FILE.",
        )
