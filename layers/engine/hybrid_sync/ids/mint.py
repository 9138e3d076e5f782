"""New ids: deterministic, so that retries and races mint the same one, and not to be guessed from integers.

UUIDv8 (RFC 9562, section 5.8): 122 bits of HMAC-SHA256(secret, entity, source, legacy key).  A target that has lost
rows gets them back under the ids that they had, whenever and by whichever release they were minted first.

Under a secret that begins with `ordered:` the first 40 bits are the legacy key, counted from a number that only the
secret tells, and 82 bits are the HMAC's: ids follow the order of their keys, so that an index grows at its end.
Keys of several parts have no order: rows of the same parent would show.

A fingerprint of the secret stands in the target, so that whoever comes with another one is refused before it mints an
id.  64 bits of an HMAC tell two secrets apart, and nobody finds the secret by them.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Sequence

from hybrid_sync.contracts import Key
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.many_keys import in_order, key_bytes
from hybrid_sync.postgres import Question
from hybrid_sync.secret import ORDERED

_PURPOSE = b"hybrid-sync: fingerprint of the id secret"
_FIRST_ID = b"hybrid-sync: first id of "
_LETTERS = 16
_BLOCK = 64
_FIRST_HALF = struct.Struct("16s16x")
_VERSION = bytes(byte & 0x0F | 0x80 for byte in range(256))
_VARIANT = bytes(byte & 0x3F | 0x80 for byte in range(256))
_ORDERED = 5
"""Bytes of an id in order that are its key's."""
_FEW = 64
"""Keys for which the compiled library is not loaded."""
_BOTH_WAYS = 9
"""Of a page's ids so many are minted by Python, too: what differed would be other ids for the same rows."""


def minter(secret: bytes, entity: str, source: str) -> Callable[[Sequence[Key]], list[bytes]]:
    """A function from legacy keys to a 16-byte UUID of each; the same for ever under the same secret."""
    # RFC 2104 by its two hashes, each begun once and copied for every key: hmac's own objects cost three times as much.
    padded = (secret if len(secret) <= _BLOCK else hashlib.sha256(secret).digest()).ljust(_BLOCK, b"\0")
    secrets = bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)
    beginning = f"{entity}\0{source}\0".encode()
    inner, outer = hashlib.sha256(secrets[0] + beginning), hashlib.sha256(secrets[1])
    first = _first(secret, beginning)

    def mint(keys: Sequence[Key]) -> list[bytes]:
        compiled = _compiled(list(keys), *secrets, beginning, first) if len(keys) > _FEW else None
        if compiled and compiled[:_BOTH_WAYS] == one_by_one(keys[:_BOTH_WAYS]):
            return compiled
        return one_by_one(keys)

    def one_by_one(keys: Sequence[Key]) -> list[bytes]:
        digests: list[bytes] = []
        for key in key_bytes(keys):
            one, other = inner.copy(), outer.copy()
            one.update(key)
            other.update(one.digest())
            digests.append(other.digest())
        page = bytearray(b"".join(digests))
        page[6::32] = page[6::32].translate(_VERSION)
        page[8::32] = page[8::32].translate(_VARIANT)
        ids = [uuid for (uuid,) in _FIRST_HALF.iter_unpack(page)]
        if first < 0 or not keys or len(keys[0]) > 1:
            return ids
        return [begin + uuid[_ORDERED:] for begin, uuid in zip(in_order(keys, first, _ORDERED), ids, strict=True)]

    return mint


def _first(secret: bytes, beginning: bytes) -> int:
    """What ids in order count legacy keys from, so that no id tells its key; -1 where ids have no order."""
    if not secret.startswith(ORDERED.encode()):
        return -1
    return int(hmac.new(secret, _FIRST_ID + beginning, hashlib.sha256).hexdigest()[: 2 * _ORDERED], 16)


def _compiled(keys: list[Key], inner: bytes, outer: bytes, beginning: bytes, first: int) -> list[bytes] | None:
    """The same of many keys by the compiled library, in a third of the time; None where it leaves them to Python."""
    from hybrid_sync.compiled.library import mint_ids  # where many rows are new

    function = mint_ids()
    return None if function is None else function(keys, inner, outer, beginning, first)


def fingerprint(secret: bytes) -> str:
    """64 bits of an HMAC under the secret, as 16 hexadecimal digits: tells secrets apart and says nothing of them."""
    return hmac.new(secret, _PURPOSE, hashlib.sha256).hexdigest()[:_LETTERS]


def recording(secret: bytes) -> Question[None]:
    """Record it where none is; what is there stays."""
    return Question(
        "insert into hybrid_sync.id_secret (fingerprint) values (%s) on conflict do nothing", (fingerprint(secret),),
        lambda _: None,
    )  # fmt: skip


def ask_same_secret(secret: bytes) -> Question[None]:
    """Raises ConfigurationMissing where the target's ids are made under another secret."""
    return Question(
        "select fingerprint from hybrid_sync.id_secret",
        None,
        lambda found: require_same(secret, *(found.fetchone() or (None,))),
    )


def require_same(secret: bytes, known: str | None) -> None:
    """Raises ConfigurationMissing unless `known` is this secret's fingerprint, or None: the target has no ids yet."""
    if known is not None and not hmac.compare_digest(known, fingerprint(secret)):
        raise ConfigurationMissing(
            "The id secret is not the one under which the ids of this target are made.",
            "Bring that one back from its offline copy: hybrid-sync install --restore-secret FILE.",
        )
