"""Keyed hashes of legacy keys: who has a list of them, and not the id secret, learns nobody's key from it.

BLAKE2b with a key is a MAC (RFC 7693).  Beside the hash stands the key's bucket, so that a worker finds the key again
by trying the 500 that the bucket can have: half a millisecond.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from hybrid_sync.contracts import Key
from hybrid_sync.keys import key_text, span

_PURPOSE = b"hybrid-sync: keys of erased people"
_SIZE = 16

Place = tuple[str, str]
"""An entity and one of its sources."""


class Hashes:
    """Those of one deployment."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.new(secret, _PURPOSE, hashlib.sha256).digest()
        self.fingerprint = hashlib.blake2b(b"fingerprint", digest_size=8, key=self._key).hexdigest()
        """Of the id secret: under another one no hash means anything."""

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hashes) and other._key == self._key

    def of(self, place: Place, keys: Iterable[Key]) -> dict[bytes, Key]:
        """The keyed hash of each key, with the key that it is of; equal keys of other sources have other hashes."""
        base = hashlib.blake2b("\0".join((*place, "")).encode(), digest_size=_SIZE, key=self._key)
        found: dict[bytes, Key] = {}
        for key in keys:
            one = base.copy()
            one.update(key_text(key).encode())
            found[one.digest()] = key
        return found

    def keys_of_buckets(self, place: Place, hashes: set[bytes], buckets: Iterable[int]) -> set[Key]:
        """The keys of one integer behind these hashes, which lie in these buckets."""
        found: set[Key] = set()
        for n in sorted(set(buckets)):
            first, last = span(n, n + 1)
            known = self.of(place, ((number,) for number in range(first, last + 1)))
            found.update(known[one] for one in hashes & known.keys())
        return found
