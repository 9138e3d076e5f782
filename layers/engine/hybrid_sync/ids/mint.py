"""New ids: deterministic, so that retries and races mint the same one, and not to be guessed from integers.

UUIDv8 (RFC 9562, section 5.8): 122 bits of HMAC-SHA256(secret, entity, source, legacy key).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from hybrid_sync.contracts import Key
from hybrid_sync.keys import key_text


def minter(secret: bytes, entity: str, source: str) -> Callable[[Key], bytes]:
    """A function from legacy key to 16-byte UUID; the same for ever under the same secret."""
    base = hmac.new(secret, f"{entity}\0{source}\0".encode(), hashlib.sha256)

    def mint(key: Key) -> bytes:
        digest = base.copy()
        digest.update(key_text(key).encode())
        uuid = bytearray(digest.digest()[:16])
        uuid[6] = uuid[6] & 0x0F | 0x80
        uuid[8] = uuid[8] & 0x3F | 0x80
        return bytes(uuid)

    return mint
