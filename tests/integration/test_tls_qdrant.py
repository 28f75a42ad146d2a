"""Qdrant over TLS with an API key: who is let in, and what is said to the others."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from kindred.client import KindredClient
from kindred.errors import Misconfigured, Outage
from kindred.local import qdrant as embedded_qdrant
from kindred.local.servers import temporary_folder
from kindred.settings import QdrantSettings, Settings
from kindred.vectors.connection import connect, translated_errors
from running import prepare, running
from servers.certificates import Authority, Certificate
from servers.tls_front import tls_front


@dataclass(frozen=True, slots=True)
class Guarded:
    """A Qdrant that wants a key, and listens in the clear on loopback alone."""

    port: int
    api_key: str


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    key = secrets.token_hex(16)
    with temporary_folder() as folder, embedded_qdrant.launch(folder, key) as server:
        server.wait_until_ready()
        yield Guarded(urlsplit(server.address).port or 0, key)


@pytest.fixture(scope="module")
def here(authority: Authority) -> Certificate:
    """For the address, not for the name."""
    return authority.issue("qdrant", "127.0.0.1")


@pytest.fixture
def right(guarded: Guarded, authority: Authority, here: Certificate) -> Iterator[dict[str, Any]]:
    """Settings that lead in."""
    with tls_front(guarded.port, here) as port:
        yield {
            "url": f"https://127.0.0.1:{port}", "api_key": guarded.api_key, "ssl_cafile": authority.cafile,
        }  # fmt: skip


def ask(**settings: Any) -> int:
    """How many collections there are."""
    client = connect(QdrantSettings(**settings))
    try:
        with translated_errors():
            return len(client.get_collections().collections)
    finally:
        client.close()


def refusal(**settings: Any) -> str:
    with pytest.raises(Misconfigured) as refused:
        ask(**settings)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_ca_and_key_lead_in(right: dict[str, Any]) -> None:
    assert ask(**right) == 0


def test_the_client_for_other_services_takes_them_too(right: dict[str, Any]) -> None:
    with KindredClient(**right) as kindred, pytest.raises(Misconfigured, match="no model is live"):
        kindred.recommend("ann")


def test_a_wrong_key(right: dict[str, Any]) -> None:
    sentence = refusal(**right | {"api_key": "wr0ng"})
    assert "KINDRED_QDRANT__API_KEY" in sentence
    assert "wr0ng" not in sentence
    assert "KINDRED_QDRANT__API_KEY" in refusal(**right | {"api_key": None})


def test_a_ca_that_did_not_sign(right: dict[str, Any], tmp_path: Path) -> None:
    others = Authority(tmp_path).cafile
    for cafile in (others, None):
        assert "Check KINDRED_QDRANT__SSL_CAFILE" in refusal(**right | {"ssl_cafile": cafile})


def test_ca_files_that_are_none(right: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("missing", "empty"):
        sentence = refusal(**right | {"ssl_cafile": tmp_path / name})
        assert "KINDRED_QDRANT__SSL_CAFILE" in sentence
        assert str(tmp_path / name) in sentence


def test_a_certificate_for_another_host(right: dict[str, Any]) -> None:
    sentence = refusal(**right | {"url": right["url"].replace("127.0.0.1", "localhost")})
    assert "is for another host" in sentence
    assert "KINDRED_QDRANT__URL" in sentence


def test_a_certificate_that_has_expired(
    right: dict[str, Any], guarded: Guarded, authority: Authority
) -> None:
    with tls_front(guarded.port, authority.issue("late", expired=True)) as port:
        assert "has expired" in refusal(**right | {"url": f"https://127.0.0.1:{port}"})


def test_a_client_certificate(
    right: dict[str, Any], guarded: Guarded, authority: Authority, here: Certificate
) -> None:
    mine = authority.issue("kindred", key_password="sesame")
    with tls_front(guarded.port, here, client_ca=authority.cafile) as port:
        wanted = right | {"url": f"https://127.0.0.1:{port}"}
        shown = wanted | {"ssl_certfile": mine.chain, "ssl_keyfile": mine.key, "ssl_key_password": "sesame"}
        assert ask(**shown) == 0
        assert "KINDRED_QDRANT__SSL_CERTFILE" in refusal(**wanted)
        assert "…SSL_KEY_PASSWORD" in refusal(**shown | {"ssl_key_password": "wr0ng"})
        assert "…SSL_KEY_PASSWORD" in refusal(**shown | {"ssl_key_password": None})


def test_plain_text_where_tls_is_spoken_and_the_other_way_round(
    right: dict[str, Any], guarded: Guarded
) -> None:
    with pytest.raises(Outage):  # it hangs up, as a server does that is about to stop
        ask(**right | {"url": right["url"].replace("https", "http")})
    assert "not in TLS" in refusal(**right | {"url": f"https://127.0.0.1:{guarded.port}"})


def test_a_worker_does_not_start_with_a_wrong_key(
    settings: Settings, right: dict[str, Any], tmp_path: Path
) -> None:
    wrong = QdrantSettings(**right | {"api_key": "wr0ng"})
    prepared = prepare(settings, tmp_path).model_copy(update={"qdrant": wrong})
    with pytest.raises(Misconfigured, match="KINDRED_QDRANT__API_KEY"), running(prepared):
        pass
