"""No password, key or token leaves this machine in plain text, unless somebody said so."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kindred.errors import Misconfigured
from kindred.events.access import client_options
from kindred.history.address import address
from kindred.settings import KafkaSettings, PostgresSettings, QdrantSettings
from kindred.transport import ServerNames, is_local, tls_failure
from kindred.vectors.connection import connect

LOCAL = [
    "127.0.0.1",
    "127.8.9.1",
    "::1",
    "[::1]",
    "localhost",
    "LOCALHOST.",
    "a.localhost",
    "/run/x",
    "@x",
    "",
]
AWAY = ["10.0.0.1", "db", "localhost.example", "127.0.0.1.example", "fe80::1", "0.0.0.0", "postgres"]
LOGIN = {"sasl_mechanism": "PLAIN", "sasl_username": "ann", "sasl_password": "s3cret"}
SERVER = ServerNames("Qdrant", "KINDRED_QDRANT__", "URL")


@pytest.fixture(autouse=True)
def without_libpqs_own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGSSLMODE", "PGPASSWORD", "PGHOST", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def kafka(host: str = "kafka", **changes: Any) -> object:
    settings = {"bootstrap_servers": f"{host}:9092", "security_protocol": "SASL_PLAINTEXT"} | LOGIN
    return client_options(KafkaSettings(**settings | changes))


def postgres(host: str = "db", **changes: Any) -> object:
    return address(PostgresSettings(**{"url": f"postgresql://ann@{host}/x", "password": "s3cret"} | changes))


def qdrant(host: str = "vectors", **changes: Any) -> object:
    return connect(QdrantSettings(**{"url": f"http://{host}:6333", "api_key": "s3cret"} | changes))


def refusal(attempt: Callable[..., object], *arguments: Any, **changes: Any) -> str:
    with pytest.raises(Misconfigured) as refused:
        attempt(*arguments, **changes)
    sentence = str(refused.value)
    assert "plain text" in sentence
    assert "s3cret" not in sentence
    return sentence


@pytest.mark.parametrize("host", LOCAL)
def test_this_machine(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", AWAY)
def test_other_machines(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize(
    ("attempt", "server", "instead"),
    [
        (kafka, "KAFKA", "KINDRED_KAFKA__SECURITY_PROTOCOL=SASL_SSL"),
        (postgres, "POSTGRES", "KINDRED_POSTGRES__SSL_MODE=verify-full"),
        (qdrant, "QDRANT", "https://"),
    ],
)
def test_a_secret_for_another_machine(attempt: Callable[..., object], server: str, instead: str) -> None:
    sentence = refusal(attempt)
    assert instead in sentence
    assert f"KINDRED_{server}__ALLOW_PLAINTEXT_SECRETS=true" in sentence
    assert attempt(allow_plaintext_secrets=True)
    assert attempt("127.0.0.1")


def test_every_kind_of_kafka_login_is_one() -> None:
    assert refusal(kafka, sasl_mechanism="SCRAM-SHA-512")
    assert refusal(kafka, sasl_mechanism="OAUTHBEARER", sasl_oauth_token_file=Path("/dev/null"))
    assert refusal(kafka, bootstrap_servers="127.0.0.1:1,[::1]:2,kafka:3")
    assert kafka(security_protocol="SASL_SSL")
    assert kafka(security_protocol="PLAINTEXT")  # without a login there is nothing to give away


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_modes_that_give_in_count_as_plain_text(mode: str) -> None:
    assert refusal(postgres, ssl_mode=mode)
    assert refusal(postgres, url=f"postgresql://ann@db/x?sslmode={mode}")


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_modes_that_insist(mode: str) -> None:
    assert postgres(ssl_mode=mode)
    assert postgres(url=f"postgresql://ann@db/x?sslmode={mode}")


def test_wherever_the_password_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(postgres, url="postgresql://ann:s3cret@db/x", password=None)
    assert refusal(postgres, url="postgresql://ann@db/x?password=s3cret", password=None)
    assert postgres(password=None)
    monkeypatch.setenv("PGPASSWORD", "s3cret")
    assert refusal(postgres, password=None)
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / ".pgpass").write_text("db:*:*:ann:s3cret")
    assert refusal(postgres, password=None)


def test_wherever_the_host_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(postgres, url="postgresql://ann@/x?host=localhost:1&host=db:2")
    assert refusal(postgres, url="postgresql://ann@localhost/x?hostaddr=10.0.0.1")
    assert postgres(url="postgresql://ann@/x?host=/run/postgresql")
    monkeypatch.setenv("PGHOST", "db")
    assert refusal(postgres, url="postgresql://ann@/x")


def test_libpqs_own_mode_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert postgres()


@pytest.mark.parametrize("key", ["", "two words", "line\n", "\ts3cret", "schlüssel", "s3cret\x00"])
def test_keys_that_no_header_carries(key: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        qdrant("127.0.0.1", api_key=key)
    assert "KINDRED_QDRANT__API_KEY cannot be sent" in str(refused.value)


def test_a_failure_of_the_network_is_none_of_tls() -> None:
    for error in (OSError("reset"), ssl.SSLEOFError(8, "cut off"), ssl.SSLZeroReturnError(6, "closed")):
        assert tls_failure(error, SERVER) is None


def test_tls_failures_are_found_behind_other_errors() -> None:
    error = ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca")
    error.reason = "TLSV1_ALERT_UNKNOWN_CA"
    outer = RuntimeError(error)
    outer.__cause__ = outer  # no loop is too short
    assert "KINDRED_QDRANT__SSL_CERTFILE" in str(tls_failure(outer, SERVER))
