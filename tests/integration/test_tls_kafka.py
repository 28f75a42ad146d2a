"""Kafka over TLS, in front of the embedded broker; logins are in test_tls_kafka_native.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kindred.errors import Misconfigured, Outage
from kindred.events.access import admitted
from kindred.events.producer import Producer
from kindred.events.schema import Record
from kindred.events.source import Source
from kindred.events.topics import create_topics
from kindred.local import broker
from kindred.local.processes import free_port
from kindred.local.servers import temporary_folder
from kindred.settings import KafkaSettings, Settings
from running import eventually
from servers.certificates import Authority
from servers.tls_front import tls_front


@dataclass(frozen=True, slots=True)
class Ports:
    """`tls` wants a certificate of the client; it is where the broker sends its clients."""

    tls: int
    plain: int


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def ports(authority: Authority) -> Iterator[Ports]:
    tls = free_port()
    with temporary_folder() as folder, broker.launch(folder, advertised_port=tls) as server:
        server.wait_until_ready()
        plain = int(server.address.rpartition(":")[2])
        here = authority.issue("broker", "127.0.0.1")
        with tls_front(plain, here, port=tls, client_ca=authority.cafile):
            yield Ports(tls, plain)


@pytest.fixture
def right(ports: Ports, authority: Authority) -> dict[str, Any]:
    """Settings that lead in."""
    mine = authority.issue("kindred")
    return {
        "bootstrap_servers": f"127.0.0.1:{ports.tls}", "security_protocol": "SSL",
        "ssl_cafile": authority.cafile, "ssl_certfile": mine.chain, "ssl_keyfile": mine.key,
        "session_timeout_ms": broker.SESSION_TIMEOUT_MS, "fetch_max_wait_ms": broker.FETCH_MAX_WAIT_MS,
    }  # fmt: skip


def refusal(**settings: Any) -> str:
    """It comes at once: nobody tries again what a person must mend."""
    began = time.monotonic()
    with pytest.raises(Misconfigured) as refused:
        admitted(KafkaSettings(**settings), patience_seconds=60)
    assert time.monotonic() - began < 30
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_every_client_shows_its_certificate(right: dict[str, Any]) -> None:
    settings = Settings(_env_file=None, namespace="tls", kafka=KafkaSettings(**right))
    create_topics(settings, partitions=1)
    with Producer(settings.kafka) as producer:
        producer.send(Record("tls.items", 0, 0, 0, b"3", b"{}"))
    source = Source(settings.kafka, ["tls.items"], "tls", batch_size=10)
    try:
        (record,) = eventually(lambda: source.poll().records)
        assert (record.key, record.value) == (b"3", b"{}")
    finally:
        source.close()


def test_no_certificate_of_the_client(right: dict[str, Any]) -> None:
    assert "KINDRED_KAFKA__SSL_CERTFILE" in refusal(**right | {"ssl_certfile": None, "ssl_keyfile": None})


def test_a_certificate_of_a_ca_that_the_broker_does_not_trust(right: dict[str, Any], tmp_path: Path) -> None:
    foreign = Authority(tmp_path).issue("kindred")
    wrong = {"ssl_certfile": foreign.chain, "ssl_keyfile": foreign.key}
    assert "KINDRED_KAFKA__SSL_CERTFILE" in refusal(**right | wrong)


def test_a_key_with_a_password(right: dict[str, Any], authority: Authority) -> None:
    locked = authority.issue("locked", key_password="sesame")
    files = {"ssl_certfile": locked.chain, "ssl_keyfile": locked.key}
    assert admitted(KafkaSettings(**right | files, ssl_key_password="sesame"))
    for wrong in ({"ssl_key_password": "wr0ng"}, {}):
        sentence = refusal(**right | files | wrong)
        assert "…SSL_KEYFILE" in sentence
        assert "wr0ng" not in sentence


def test_a_key_of_another_certificate(right: dict[str, Any], authority: Authority) -> None:
    assert "KEYFILE" in refusal(**right | {"ssl_keyfile": authority.issue("somebody_else").key})


def test_a_ca_that_did_not_sign(right: dict[str, Any], tmp_path: Path) -> None:
    for cafile in (Authority(tmp_path).cafile, None):
        assert "Check KINDRED_KAFKA__SSL_CAFILE" in refusal(**right | {"ssl_cafile": cafile})


def test_files_that_are_missing(right: dict[str, Any], tmp_path: Path) -> None:
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        sentence = refusal(**right | {name: tmp_path / "missing"})
        assert f"KINDRED_KAFKA__{name.upper()}: {tmp_path / 'missing'} cannot be read" in sentence


def test_a_certificate_for_another_host(right: dict[str, Any], ports: Ports) -> None:
    by_name = right | {"bootstrap_servers": f"localhost:{ports.tls}"}
    assert "is for another host" in refusal(**by_name)
    assert admitted(KafkaSettings(**by_name, ssl_check_hostname=False))


def test_a_certificate_that_has_expired(right: dict[str, Any], ports: Ports, authority: Authority) -> None:
    with tls_front(ports.plain, authority.issue("late", expired=True)) as port:
        assert "has expired" in refusal(**right | {"bootstrap_servers": f"127.0.0.1:{port}"})


def test_plain_text_where_tls_is_spoken(right: dict[str, Any]) -> None:
    wrong = KafkaSettings(**right | {"security_protocol": "PLAINTEXT"})
    with pytest.raises(Outage, match="KINDRED_KAFKA__SECURITY_PROTOCOL=PLAINTEXT may not suit it"):
        admitted(wrong, patience_seconds=1)


def test_one_server_that_lets_us_in_is_enough(right: dict[str, Any], ports: Ports) -> None:
    several = f"127.0.0.1:1, 127.0.0.1:{ports.tls}, 127.0.0.1:2"
    assert admitted(KafkaSettings(**right | {"bootstrap_servers": several}))
