"""CA certificates as text: checked before they are believed, and given to libpq as a file of our own."""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import ConfigurationMissing

SYSTEM = "system"
"""Said in place of a CA: the public ones, as `certifi` lists them."""
SOON = timedelta(days=30)
"""A CA that expires within this time is reported."""

_BEGINS, _ENDS = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@dataclass(frozen=True)
class Bundle:
    """What a text of certificates holds."""

    valid: int
    expired: int
    ends: datetime
    """When the first of the valid ones ends; of no valid one, when the last has ended."""

    def ends_soon(self, now: datetime) -> bool:
        """A valid one ends within `SOON`."""
        return self.valid > 0 and self.ends - now < SOON


def examine(text: str, named: str, now: datetime | None = None) -> Bundle:
    """Count and date the CA certificates in PEM text; ConfigurationMissing for anything else, expired ones alone too.

    `named` is where the text came from.
    """
    if "PRIVATE KEY-----" in text:
        raise ConfigurationMissing(f"{named} holds a private key.", "Give the CA's certificate alone.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=bare(text))
    except (ValueError, ssl.SSLError):
        raise ConfigurationMissing(
            f"{named} holds no certificates that can be read.",
            f"Give the CA's certificates as PEM text ({_BEGINS} …).",
        ) from None
    found = context.cert_store_stats()
    if found["x509"] != found["x509_ca"]:
        raise ConfigurationMissing(
            f"{named} holds a certificate that is not a CA's: it can prove no other.",
            "Give the certificate of the CA that signed the server's.",
        )
    return _dated([str(one["notAfter"]) for one in context.get_ca_certs()], named, now or datetime.now(UTC))


def bare(text: str) -> str:
    """The certificates alone, without the remarks that bundles have between them; ValueError when one is cut off."""
    blocks = re.findall(f"{_BEGINS}[^-]*{_ENDS}", text)
    if not blocks or len(blocks) != text.count(_BEGINS):
        raise ValueError
    return "\n".join([*blocks, ""])


def _dated(ends: list[str], named: str, now: datetime) -> Bundle:
    moments = sorted(datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC) for end in ends)
    valid = [moment for moment in moments if moment > now]
    if not valid:
        raise ConfigurationMissing(
            f"{named} holds no CA that is still valid: the last ended on {moments[-1]:%Y-%m-%d}.",
            "Ask the operator of the server for its present CA.",
        )
    return Bundle(len(valid), len(moments) - len(valid), valid[0])


def file_of(ca: str, named: str) -> Path:
    """A file that holds these CA certificates and that nobody else can write: PEM text, or `system`."""
    if ca == SYSTEM:
        import certifi

        return Path(certifi.where())
    if not _folder(os.getpid()).is_dir():  # whoever tidies /tmp has taken it away from a worker that lives
        _folder.cache_clear()
    folder = _folder(os.getpid())
    path = folder / f"{hashlib.sha256(ca.encode()).hexdigest()}.pem"
    if not path.exists():
        examine(ca, named)
        draft = path.with_suffix(f".{os.urandom(4).hex()}")
        draft.touch(mode=0o600)
        draft.write_text(bare(ca), "ascii")
        draft.rename(path)
    return path


@cache
def _folder(process: int) -> Path:
    """A private folder of this process, gone with it; its children make their own."""
    folder = Path(tempfile.mkdtemp(prefix="hybrid-sync-ca-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
