"""A private CA, as Supabase and RDS have one: its certificate, and those that it signs."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """A CA whose own certificate ends after `days`; a negative number is the past."""

    def __init__(self, name: str, days: int = 365) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        built = _builder(self._name, self._name, self._key.public_key(), days).add_extension(constraints, critical=True)
        self.pem = built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, *names: str, days: int = 90) -> tuple[str, str]:
        """A server's certificate and its key, both as PEM text."""
        return certificate(*names, days=days, issuer=(self._name, self._key))


def certificate(
    *names: str, days: int = 90, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[str, str]:
    """A certificate for these names and its key, both as PEM text; without an issuer nobody vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    by, signing = issuer or (_named(names[0]), key)
    built = _builder(_named(names[0]), by, key.public_key(), days)
    built = built.add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return built.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(), secret.decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 400 * DAY)
        .not_valid_after(now + days * DAY)
    )


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    def general(name: str) -> x509.GeneralName:
        try:
            return x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            return x509.DNSName(name)

    return [general(name) for name in names]


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
