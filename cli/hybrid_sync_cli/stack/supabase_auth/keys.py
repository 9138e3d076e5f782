"""The keys that access tokens are signed with: one signs, others are still published, as in a hosted project."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ALGORITHMS = ("ES256", "RS256", "HS256")


@dataclass(frozen=True)
class Key:
    """A signing key; `secret` is a private key's PEM, or of HS256 the shared secret."""

    key_id: str
    algorithm: str
    secret: str

    @classmethod
    def new(cls, algorithm: str) -> Key:
        """A key of its own for one of ALGORITHMS."""
        return cls(secrets.token_hex(8), algorithm, _secret(algorithm))

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """A token; `header` says more, or something else, in its header."""
        return jwt.encode(dict(claims), self.secret, self.algorithm, {"kid": self.key_id, **header})

    def public(self) -> dict[str, Any] | None:
        """As a key set shows it; None for a secret that is shared."""
        if self.algorithm == "HS256":
            return None
        private = serialization.load_pem_private_key(self.secret.encode(), None)
        if isinstance(private, rsa.RSAPrivateKey):
            shown = RSAAlgorithm.to_jwk(private.public_key())
        elif isinstance(private, ec.EllipticCurvePrivateKey):
            shown = ECAlgorithm.to_jwk(private.public_key())
        else:
            raise TypeError(self.algorithm)
        return {**json.loads(shown), "kid": self.key_id, "alg": self.algorithm, "use": "sig", "key_ops": ["verify"]}


def key_set(keys: list[Key]) -> dict[str, Any]:
    """What `/.well-known/jwks.json` answers (RFC 7517)."""
    return {"keys": [shown for key in keys if (shown := key.public()) is not None]}


def _secret(algorithm: str) -> str:
    if algorithm == "HS256":
        return secrets.token_urlsafe(40)
    private: Any = (
        ec.generate_private_key(ec.SECP256R1())
        if algorithm == "ES256"
        else rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    )
    return str(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    )
