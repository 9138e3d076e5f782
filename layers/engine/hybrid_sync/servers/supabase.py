"""Supabase's addresses: which of them a function can reach, and the host, port and user that its pooler takes.

`db.<ref>.supabase.co` is IPv6 only without the IPv4 add-on, and a function outside a VPC has no IPv6.  The shared
pooler finds the project by the user's name.  Functions use its transaction mode: in session mode a frozen one would
hold one of few slots.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hybrid_sync.errors import ConfigurationMissing, Side

if TYPE_CHECKING:  # who lets people in has no database
    from hybrid_sync.servers.dsn import Parts

TRANSACTION_PORT = "6543"
SESSION_PORT = "5432"
_DIRECT = re.compile(r"db\.([a-z0-9]+)\.supabase\.(?:co|com|in|red)", re.IGNORECASE)
_POOLER = re.compile(r"[a-z0-9-]+\.pooler\.supabase\.(?:co|com|in|red)", re.IGNORECASE)
_PROJECT = re.compile(r"https://[A-Za-z0-9.-]+(:\d+)?|http://(127\.0\.0\.1|localhost)(:\d+)?")
_POOLER_FORM = "aws-0-<region>.pooler.supabase.com:6543 (aws-1-… for newer projects)"


def is_pooler(host: str) -> bool:
    """Whether the host is Supabase's shared pooler."""
    return _POOLER.fullmatch(host) is not None


def is_direct(host: str) -> bool:
    """Whether the host is a project's own address, db.<ref>.supabase.co."""
    return _DIRECT.fullmatch(host) is not None


def project_of(parts: Parts) -> str | None:
    """The project's reference, from the direct host or from the pooler's form of a user."""
    host, user = parts.get("host", ""), parts.get("user", "")
    if direct := _DIRECT.fullmatch(host):
        return direct[1]
    return user.rpartition(".")[2] if is_pooler(host) and "." in user else None


def project_url(parts: Parts) -> str | None:
    """The address of the project's API; None where the DSN names no project."""
    project = project_of(parts)
    return f"https://{project}.supabase.co" if project else None


def checked_url(url: str) -> str:
    """The address of a project's API without a slash at its end; ConfigurationMissing where it is none.

    What is fetched from it decides who may sign in, so that to other machines only TLS will do.
    """
    if not _PROJECT.fullmatch(url.rstrip("/")):
        raise ConfigurationMissing(
            f"{url[:200]} is no address of a Supabase project.", "Write https://<ref>.supabase.co."
        )
    return url.rstrip("/")


def as_role(parts: Parts, role: str, password: str) -> Parts:
    """The connection of another role to this database; through the pooler with the project after the role's name."""
    project = project_of(parts)
    user = f"{role}.{project}" if project and is_pooler(parts.get("host", "")) else role
    return {**parts, "user": user, "password": password}


def for_functions(parts: Parts, side: Side, pooler: str | None = None, *, ipv6: bool = False) -> Parts:
    """The way by which functions reach the same database; ConfigurationMissing where there is none.

    `pooler` is the project's shared pooler, as host or host:port; `ipv6` says that the functions have IPv6, or the
    project an IPv4 address.
    """
    host = parts.get("host", "")
    if is_direct(host) and not ipv6:
        if pooler is None:
            raise ConfigurationMissing(
                f"Functions cannot reach {host} ({side}): it is IPv6 only unless the project has the IPv4 add-on, and"
                " Lambda outside a VPC has no IPv6.",
                f"Give them the pooler (Dashboard, Connect, Transaction pooler): {_option(side, parts)}; or say --ipv6"
                " if the project has the add-on, or the functions a VPC with dual stack.",
            )
        return _through(pooler, parts, side)
    if is_pooler(host):
        return _through(pooler or host, parts, side)
    return parts


def unreached(host: str) -> str | None:
    """What to do where one of its addresses does not answer; None for a host of somebody else."""
    if is_direct(host):
        return (
            "It is IPv6 only unless the project has the IPv4 add-on, and Lambda outside a VPC has no IPv6: run"
            f" `hybrid-sync install` with --pooler {_POOLER_FORM}."
        )
    if is_pooler(host):
        return "Check the region in its host, and that its user ends in the project's reference: <role>.<ref>."
    return None


def _option(side: Side, parts: Parts) -> str:
    if side == "target":
        return f"--pooler {_POOLER_FORM}"
    return f"write {parts.get('user', 'user')}.{project_of(parts)} as the user and {_POOLER_FORM} as the host"


def _through(pooler: str, parts: Parts, side: Side) -> Parts:
    host, _, port = pooler.partition(":")
    project = project_of(parts)
    if not is_pooler(host) or not re.fullmatch(r"[0-9]*", port):
        raise ConfigurationMissing("--pooler is not the address of Supabase's pooler.", f"Write {_POOLER_FORM}.")
    if project is None:
        raise ConfigurationMissing(
            f"The user of the {side} DSN does not name the project, by which Supabase's pooler finds it.",
            "Write it as the Dashboard shows it: <role>.<project ref>.",
        )
    role = parts.get("user", "").removesuffix(f".{project}")
    return {**parts, "host": host, "port": port or TRANSACTION_PORT, "user": f"{role}.{project}"}
