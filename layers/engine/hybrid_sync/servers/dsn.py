"""What a connection string may say: TLS that verifies, hosts by name, and nothing that a pooler refuses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from hybrid_sync.blame import Side
from hybrid_sync.dataclass import dataclass
from hybrid_sync.errors import ConfigurationMissing
from hybrid_sync.servers import certificates

PLAINTEXT = "plaintext"
"""Said in place of a CA: this connection may go without TLS."""

Parts = dict[str, str]

_OF_THIS_MACHINE = {"sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslcrldir", "passfile"}

_FORM = "Write postgresql://user:password@host:port/db, and percent-encode what is special in the password."


@dataclass(frozen=True)
class Host:
    """One of the servers that a connection may end at: what its certificate has to be for, and where it is."""

    name: str
    address: str
    port: int

    @property
    def is_here(self) -> bool:
        """On this machine: nothing that is sent there can be read on the way."""
        place = self.address or self.name
        if not place or place.startswith(("/", "@")) or place.lower() == "localhost":
            return True
        address = _address(place)
        return address is not None and address.is_loopback


def read(dsn: str, side: Side) -> Parts:
    """The parts of a DSN; ConfigurationMissing, which quotes nothing of it, for a text that is none."""
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    except psycopg.ProgrammingError:
        raise ConfigurationMissing(f"The {side} DSN is not a PostgreSQL connection string.", _FORM) from None
    # An unescaped @ or / in a password makes the rest of it a host, a port or a database, and those are quoted.
    if (
        any(_is_spoilt(name) for name in parts.get("host", "").split(","))
        or "@" in parts.get("dbname", "")
        or not re.fullmatch(r"[0-9,]*", parts.get("port", ""))
        or not re.fullmatch(r"[0-9]*", parts.get("connect_timeout", ""))
    ):
        raise ConfigurationMissing(f"The {side} DSN is not a PostgreSQL connection string.", _FORM)
    return parts


def _is_spoilt(name: str) -> bool:
    if name.startswith(("/", "@")):  # a socket
        return False
    return "@" in name or (":" in name and _address(name) is None)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def hosts(parts: Mapping[str, str]) -> list[Host]:
    """Every server that libpq would try, by the environment's PG* settings too."""
    usual = {option.keyword.decode(): (option.val or b"").decode() for option in psycopg.pq.Conninfo.get_defaults()}
    names, addresses, ports = (
        (parts.get(part) or usual.get(part) or "").split(",") for part in ("host", "hostaddr", "port")
    )
    if len(ports) == 1:
        ports *= max(len(names), len(addresses))
    return [
        Host(name, address, int(port or 5432))
        for name, address, port in zip_longest(names, addresses, ports, fillvalue="")
    ]


def secured(dsn: str, side: Side, ca: str | None = None) -> Parts:
    """The parameters to connect with: to other machines by TLS that proves the server (`verify-full`).

    `ca` is PEM text, `system` or nothing for the public ones, or `plaintext`, which alone allows a connection that
    others can read.  Raises ConfigurationMissing.
    """
    parts = read(dsn, side)
    _refuse_what_poolers_refuse(parts, side)
    parts["options"] = ""  # PGOPTIONS would be sent otherwise
    if ca == PLAINTEXT:
        return {"sslmode": "disable", **parts}
    if all(host.is_here for host in hosts(parts)) and not ca and parts.get("sslmode") != "verify-full":
        return parts
    if parts.get("sslmode") == "disable":
        raise ConfigurationMissing(
            f"The {side} DSN switches TLS off (sslmode=disable) on the way to another machine.",
            f"Leave sslmode out of it; in a private network without TLS, say so: --{side}-ca {PLAINTEXT}"
            f' ("{side}_ca": "{PLAINTEXT}" in the secret).',
        )
    return {
        **parts, "sslmode": "verify-full", "sslrootcert": _root(parts, side, ca),
        "gssencmode": "disable",  # Kerberos's encryption would go before TLS, and prove another name
    }  # fmt: skip


def portable(parts: Parts) -> Parts:
    """The parts that mean the same on another machine, and are not a person's own: a CA travels as text, beside the
    DSN, and a client's certificate and its key stay where they are."""
    return {name: value for name, value in parts.items() if name not in _OF_THIS_MACHINE}


def _root(parts: Mapping[str, str], side: Side, ca: str | None) -> str:
    """The file of the CA: what is given, or else what the DSN names, or else the public ones."""
    named = parts.get("sslrootcert", certificates.SYSTEM)
    if ca is None and named != certificates.SYSTEM:
        if not Path(named).is_file():
            raise ConfigurationMissing(
                f"The {side} DSN names a CA file (sslrootcert) that is not here.",
                f"Correct the path; functions are given the CA itself, by `hybrid-sync install --{side}-ca FILE`.",
            )
        return named
    return str(certificates.file_of(ca or certificates.SYSTEM, f"{side}_ca"))


def _refuse_what_poolers_refuse(parts: Mapping[str, str], side: Side) -> None:
    if parts.get("options"):
        raise ConfigurationMissing(
            f"The {side} DSN sets `options`, which connection poolers refuse.",
            "Leave it out; give the role such a setting on the server: alter role … set name = value.",
        )
    if parts.get("service"):
        raise ConfigurationMissing(
            f"The {side} DSN names a `service`, which is a file of one machine.", "Write its host and port instead."
        )
