"""A certificate authority for a test, in a folder of its own, and what it signs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

HERE = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files. The key is PKCS #8, the only form that Kafka reads."""

    chain: Path
    key: Path

    @property
    def both(self) -> Path:
        """Key and chain in one file, as Kafka wants them."""
        path = self.chain.with_suffix(".both.pem")
        path.write_bytes(self.key.read_bytes() + self.chain.read_bytes())
        return path


class Authority:
    """Signs certificates; `cafile` is what trusts them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA(organization_name="Kindred's tests")
        self.cafile = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.cafile))

    def issue(
        self, name: str, *hosts: str, expired: bool = False, key_password: str | None = None
    ) -> Certificate:
        """For these hosts (this machine, if none is named); `name` is the common name, too."""
        ends_at = datetime.now(UTC) - timedelta(days=1) if expired else None
        leaf = self._ca.issue_cert(*(hosts or HERE), common_name=name, not_after=ends_at)
        issued = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key.pem")
        issued.chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        issued.key.write_bytes(_pkcs8(leaf.private_key_pem.bytes(), key_password))
        issued.key.chmod(0o600)  # else Postgres' client refuses it
        return issued


def _pkcs8(pem: bytes, password: str | None) -> bytes:
    return serialization.load_pem_private_key(pem, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode())
        if password
        else serialization.NoEncryption(),
    )
