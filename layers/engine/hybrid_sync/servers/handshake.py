"""Why a server was not trusted: libpq says "certificate verify failed" and no more, so the handshake is repeated."""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress
from typing import Any

from hybrid_sync.blame import Side
from hybrid_sync.errors import ServerUntrusted
from hybrid_sync.servers.certificates import SYSTEM
from hybrid_sync.servers.dsn import PLAINTEXT, Host

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_SECONDS = 5.0

# OpenSSL's verify codes (X509_V_ERR_…).
_SELF_SIGNED = 18
_UNKNOWN_ROOT = (2, 19, 20, 21)
_NOT_YET, _EXPIRED = 9, 10
_WRONG_NAME = (62, 64)


class _NoTls(Exception):
    """The server answers that it has none."""


def why_untrusted(host: Host, side: Side, ca_file: str) -> ServerUntrusted | None:
    """What is wrong with the server's TLS; None where it can be trusted, or does not answer at all."""
    place = f"{side} at {host.name or host.address}:{host.port}"
    try:
        with _shaken(host, ca_file):
            return None
    except _NoTls:
        return ServerUntrusted(
            f"The server of {place} has TLS switched off.",
            f"Switch it on there (ssl = on); in a private network, say that you do without: --{side}-ca {PLAINTEXT}.",
        )
    except ssl.SSLCertVerificationError as error:
        return ServerUntrusted(*_reason(error.verify_code, place, host, side, ca_file))
    except OSError:
        return None


def _reason(code: int, place: str, host: Host, side: Side, ca_file: str) -> tuple[str, str]:
    if code in (*_UNKNOWN_ROOT, _SELF_SIGNED):
        signed = "self-signed" if code == _SELF_SIGNED else "signed by a CA that is not among those given"
        return (
            f"The certificate of {place} is {signed}.",
            f"Give the CA's certificate: `hybrid-sync install --{side}-ca FILE`, or sslrootcert=FILE in a DSN of this"
            " machine (Supabase: Database Settings, SSL Configuration; RDS and Aurora: <region>-bundle.pem;"
            f" `{SYSTEM}`: the public CAs).",
        )
    if code == _EXPIRED:
        return f"The certificate of {place}, or its CA's, has expired.", "Renew it on the server; then give its CA."
    if code == _NOT_YET:
        return f"The certificate of {place} is not valid yet.", "Check the clocks of both machines."
    if code in _WRONG_NAME:
        names = ", ".join(_names(host, ca_file)) or "no name"
        return (
            f"The certificate of {place} is for {names}, and not for {host.name or host.address}.",
            "Write one of those names as the host in the DSN; hostaddr= can say where it is.",
        )
    return (
        f"The certificate of {place} does not pass (OpenSSL's verify code {code}).",
        "Have the server's certificate renewed.",
    )


def _shaken(host: Host, ca_file: str, *, by_name: bool = True) -> ssl.SSLSocket:
    """TLS as libpq begins it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_file)
    context.check_hostname = by_name
    wire = socket.create_connection((host.address or host.name, host.port), _SECONDS)
    try:
        wire.sendall(_SSL_REQUEST)
        answer = wire.recv(1)
        if answer == b"N":
            raise _NoTls
        if answer != b"S":
            raise OSError
        return context.wrap_socket(wire, server_hostname=host.name or host.address)
    except BaseException:  # an interrupt too: nobody else closes the socket
        wire.close()
        raise


def _names(host: Host, ca_file: str) -> list[str]:
    """For whom the server's certificate is."""
    with suppress(OSError, _NoTls), _shaken(host, ca_file, by_name=False) as trusted:
        held: dict[str, Any] = trusted.getpeercert() or {}
        alternatives = [str(name) for _, name in held.get("subjectAltName", ())]
        common = [str(value) for part in held.get("subject", ()) for key, value in part if key == "commonName"]
        return alternatives or common
    return []
