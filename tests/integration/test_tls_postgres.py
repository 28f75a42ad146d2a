"""Postgres over TLS: who is let in, and what is said to the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chain import chain
from kindred.errors import Misconfigured
from kindred.history.connection import Database
from kindred.operations.encryption import of_postgres
from kindred.settings import PostgresSettings, Settings
from running import eventually, interaction
from servers.certificates import Authority
from servers.ladder import NoServerError
from servers.secure_postgres import SecurePostgres, secure_postgres


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that nobody here trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def postgres(authority: Authority) -> Iterator[SecurePostgres]:
    try:
        with secure_postgres(authority) as server:
            yield server
    except NoServerError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def by_password(postgres: SecurePostgres, authority: Authority) -> dict[str, Any]:
    """Settings that are right."""
    return {"url": postgres.url(), "password": postgres.password, "ssl_cafile": authority.cafile}


@pytest.fixture
def by_certificate(postgres: SecurePostgres, authority: Authority) -> dict[str, Any]:
    mine = authority.issue("by_certificate")
    return {
        "url": postgres.url(user="by_certificate"), "ssl_cafile": authority.cafile,
        "ssl_certfile": mine.chain, "ssl_keyfile": mine.key,
    }  # fmt: skip


def login(**settings: Any) -> str:
    """Connect; what `kindred doctor` says of it."""
    postgres = PostgresSettings(**settings)
    with closing(Database(postgres, "public")) as database:
        return of_postgres(Settings(_env_file=None, postgres=postgres), database)[1]


def refusal(**settings: Any) -> str:
    with pytest.raises(Misconfigured) as refused:
        login(**settings)
    sentence = str(refused.value)
    assert "\n" not in sentence
    return sentence


def test_a_batch_takes_its_whole_way(
    postgres: SecurePostgres, authority: Authority, qdrant_url: str, tmp_path: Path
) -> None:
    options = f"sslmode=verify-full&sslrootcert={authority.cafile}"
    url = f"postgresql://kindred:{postgres.password}@127.0.0.1:{postgres.port}/postgres?{options}"
    with chain(url, qdrant_url, tmp_path) as kindred:
        kindred.send("interactions", "ann", interaction("ann", "3", 1))
        assert kindred.point("ann") is not None


def test_with_a_ca_file_everything_is_verified(by_password: dict[str, Any]) -> None:
    assert login(**by_password) == "encrypted, certificate checked (verify-full)"


def test_a_client_certificate_stands_for_a_password(by_certificate: dict[str, Any]) -> None:
    assert "certificate checked" in login(**by_certificate)


def test_a_key_with_a_password(by_certificate: dict[str, Any], authority: Authority) -> None:
    locked = authority.issue("by_certificate", key_password="sesame")
    files = {"ssl_certfile": locked.chain, "ssl_keyfile": locked.key}
    assert "certificate checked" in login(**by_certificate | files, ssl_key_password="sesame")
    for wrong in ({"ssl_key_password": "wrong"}, {}):
        assert "KINDRED_POSTGRES__SSL_KEYFILE and …SSL_KEY_PASSWORD" in refusal(
            **by_certificate | files | wrong
        )


def test_encryption_alone_is_taken_with_a_warning(by_password: dict[str, Any]) -> None:
    found = login(**by_password | {"ssl_cafile": None, "ssl_mode": "require"})
    assert "anybody could stand in for the server" in found


def test_without_encryption_the_server_refuses(by_password: dict[str, Any]) -> None:
    sentence = refusal(**by_password | {"ssl_cafile": None, "ssl_mode": "disable"})
    assert "KINDRED_POSTGRES__SSL_MODE" in sentence


def test_in_the_clear_on_this_machine(postgres: SecurePostgres) -> None:
    found = login(url=postgres.url(user="in_the_clear"), password=postgres.password, ssl_mode="disable")
    assert found == "not encrypted, and stays on this machine"


def test_a_wrong_password(by_password: dict[str, Any]) -> None:
    sentence = refusal(**by_password | {"password": "wr0ng"})
    assert "refuses the login" in sentence
    assert "KINDRED_POSTGRES__PASSWORD" in sentence
    assert "wr0ng" not in sentence


def test_no_password(by_password: dict[str, Any]) -> None:
    assert "Set KINDRED_POSTGRES__PASSWORD" in refusal(**by_password | {"password": None})


def test_a_server_of_another_ca(by_password: dict[str, Any], stranger: Authority) -> None:
    assert "KINDRED_POSTGRES__SSL_CAFILE" in refusal(**by_password | {"ssl_cafile": stranger.cafile})


def test_ca_files_that_are_none(by_password: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("missing", "empty"):
        sentence = refusal(**by_password | {"ssl_cafile": tmp_path / name})
        assert "KINDRED_POSTGRES__SSL_CAFILE" in sentence
        assert str(tmp_path / name) in sentence


def test_a_certificate_for_another_host(
    by_password: dict[str, Any], postgres: SecurePostgres, authority: Authority
) -> None:
    postgres.present(authority.issue("elsewhere", "elsewhere.example"))
    try:
        sentence = eventually(lambda: _refused(by_password))
        assert "does not match host name" in sentence
        assert "KINDRED_POSTGRES__URL" in sentence
        assert "verify-ca" in login(**by_password, ssl_mode="verify-ca")
    finally:
        restore(postgres, authority, by_password)


def test_a_certificate_that_has_expired(
    by_password: dict[str, Any], postgres: SecurePostgres, authority: Authority
) -> None:
    postgres.present(authority.issue("expired", expired=True))
    try:
        assert "whether the server's certificate has expired" in eventually(lambda: _refused(by_password))
    finally:
        restore(postgres, authority, by_password)


def test_client_certificates_that_are_not_taken(
    by_certificate: dict[str, Any], authority: Authority, stranger: Authority
) -> None:
    other, foreign = authority.issue("somebody_else"), stranger.issue("by_certificate")
    for wrong in (other, foreign):
        files = {"ssl_certfile": wrong.chain, "ssl_keyfile": wrong.key}
        assert "KINDRED_POSTGRES__SSL_CERTFILE" in refusal(**by_certificate | files)
    without = {"ssl_certfile": None, "ssl_keyfile": None}
    assert "Set KINDRED_POSTGRES__SSL_CERTFILE" in refusal(**by_certificate | without)


def test_a_key_that_others_may_read(by_certificate: dict[str, Any]) -> None:
    by_certificate["ssl_keyfile"].chmod(0o644)
    assert "KINDRED_POSTGRES__SSL_KEYFILE" in refusal(**by_certificate)


def restore(postgres: SecurePostgres, authority: Authority, right: dict[str, Any]) -> None:
    postgres.present(authority.issue("postgres"))
    eventually(lambda: _refused(right) is None)


def _refused(settings: dict[str, Any]) -> str | None:
    """The server takes its time to read a new certificate."""
    try:
        login(**settings)
    except Misconfigured as refused:
        return str(refused)
    return None
