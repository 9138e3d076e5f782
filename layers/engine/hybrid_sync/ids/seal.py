"""The seal of a cached page: whoever can write to the cache cannot put ids there that we would believe.

HMAC-SHA256 (RFC 2104) over the item's key, which names entity, source and epoch, and its bytes; under a key of its own
that is derived from the id secret.  A page that was moved, changed or made elsewhere does not fit its seal.
"""

from __future__ import annotations

import hashlib
import hmac

_PURPOSE = b"hybrid-sync: pages of the id cache"


class Seal:
    """Makes and checks the seals of one deployment."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.new(secret, _PURPOSE, hashlib.sha256).digest()

    def of(self, item: str, ids: bytes) -> bytes:
        """32 bytes for the page `ids` under the item's key."""
        # The key holds no zero byte, so the two parts cannot run into each other.
        return hmac.new(self._key, item.encode() + b"\0" + ids, hashlib.sha256).digest()

    def fits(self, item: str, ids: bytes, seal: bytes) -> bool:
        """Whether the seal was made for just this page; in constant time."""
        return hmac.compare_digest(self.of(item, ids), seal)
