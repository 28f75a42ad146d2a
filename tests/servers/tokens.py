"""Whoever hands out tokens for OAUTHBEARER: signs them, and says by which key they can be checked."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class TokenIssuer:
    """JSON web tokens (RFC 7519), signed with RS256."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(self, subject: str, audience: str, *, lives_seconds: float = 3600.0) -> str:
        """A negative life: one that has expired."""
        now = time.time()
        claims = {
            "sub": subject, "aud": audience, "iat": int(now) - 7200, "exp": int(now + lives_seconds),
        }  # fmt: skip
        signed = f"{_encoded({'alg': 'RS256', 'typ': 'JWT', 'kid': 'test'})}.{_encoded(claims)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"

    def write_keys(self, path: Path) -> None:
        """The public key, as a JSON web key set (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "test"}
        key |= {"n": _base64(_bytes(numbers.n)), "e": _base64(_bytes(numbers.e))}
        path.write_text(json.dumps({"keys": [key]}))


def _encoded(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
