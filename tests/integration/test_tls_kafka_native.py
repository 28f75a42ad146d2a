"""Every way into a real Apache Kafka, and a worker with all three servers over TLS."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from typer.testing import CliRunner

from kindred.cli import app
from kindred.errors import Misconfigured, Outage
from kindred.events.access import admitted
from kindred.events.producer import Producer
from kindred.events.schema import Record
from kindred.events.source import Source
from kindred.events.topics import administered, create_topics
from kindred.local import qdrant as embedded_qdrant
from kindred.local.servers import temporary_folder
from kindred.settings import KafkaSettings, PostgresSettings, QdrantSettings, Settings
from running import environment, eventually, interaction, is_ready, metric, prepare, producing, running
from servers.certificates import Authority
from servers.ladder import NoServerError
from servers.secure_kafka import (
    AUDIENCE,
    PASSWORD,
    PROTOCOLS,
    STRANGER,
    USER,
    Listener,
    SecureKafka,
    secure_kafka,
)
from servers.secure_postgres import secure_postgres
from servers.tls_front import tls_front
from servers.token_endpoint import token_endpoint
from servers.tokens import TokenIssuer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Login = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SecureKafka]:
    try:
        with secure_kafka(tmp_path_factory.mktemp("kafka"), authority) as server:
            yield server
    except NoServerError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def at(kafka: SecureKafka, authority: Authority) -> Login:
    """Settings for a listener, with what is given besides."""

    def settings(listener: Listener, host: str = "127.0.0.1", **more: Any) -> dict[str, Any]:
        return {
            "bootstrap_servers": kafka.address(listener, host), "security_protocol": PROTOCOLS[listener],
            "ssl_cafile": authority.cafile,
        } | more  # fmt: skip

    return settings


@pytest.fixture
def token(kafka: SecureKafka, tmp_path: Path) -> Path:
    """A file with a token that is right."""
    file = tmp_path / "token"
    file.write_text(kafka.tokens.token(USER, AUDIENCE))
    return file


def by_password(mechanism: str, password: str = PASSWORD, user: str = USER) -> dict[str, str]:
    return {"sasl_mechanism": mechanism, "sasl_username": user, "sasl_password": password}


def by_token(file: Path) -> dict[str, Any]:
    return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_file": file}


def round_trip(settings: dict[str, Any]) -> None:
    """An admin client makes a topic, a producer fills it, a member of a group reads it."""
    name = f"t{secrets.token_hex(4)}"
    kafka = KafkaSettings(**settings)
    create_topics(Settings(_env_file=None, namespace=name, kafka=kafka), partitions=1)
    with Producer(kafka) as producer:
        producer.send(Record(f"{name}.items", 0, 0, 0, b"3", b"{}"))
    source = Source(kafka, [f"{name}.items"], name, batch_size=10)
    try:
        (record,) = eventually(lambda: source.poll().records)
        assert record.key == b"3"
    finally:
        source.close()


def refusal(settings: dict[str, Any]) -> str:
    """It comes at once, and not only after many more attempts."""
    began = time.monotonic()
    with pytest.raises(Misconfigured) as refused:
        admitted(KafkaSettings(**settings), patience_seconds=120)
    assert time.monotonic() - began < 60
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_password(at: Login, mechanism: str) -> None:
    round_trip(at("LOGIN", **by_password(mechanism)))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_wrong_password(at: Login, mechanism: str) -> None:
    for wrong in (by_password(mechanism, "wr0ng"), by_password(mechanism, user="nobody")):
        sentence = refusal(at("LOGIN", **wrong))
        assert "Kafka refuses the login" in sentence
        assert "KINDRED_KAFKA__SASL_USERNAME and …SASL_PASSWORD" in sentence
        assert "wr0ng" not in sentence


def test_a_token_of_a_file(at: Login, token: Path) -> None:
    round_trip(at("LOGIN", **by_token(token)))


def test_a_token_for_client_id_and_secret(at: Login, kafka: SecureKafka, authority: Authority) -> None:
    def answer() -> tuple[int, Any]:
        return 200, {"access_token": kafka.tokens.token(USER, AUDIENCE), "expires_in": 3600}

    with (
        token_endpoint(("me", "s3cret"), answer) as endpoint,
        tls_front(endpoint.port, authority.issue("tokens")) as port,
    ):
        client = {
            "sasl_mechanism": "OAUTHBEARER", "sasl_oauth_client_id": "me",
            "sasl_oauth_token_url": f"https://127.0.0.1:{port}/token",
            "sasl_oauth_cafile": authority.cafile,
        }  # fmt: skip
        round_trip(at("LOGIN", **client, sasl_oauth_client_secret="s3cret"))
        assert "CLIENT_SECRET" in refusal(at("LOGIN", **client, sasl_oauth_client_secret="wr0ng"))


def test_tokens_that_are_not_taken(at: Login, kafka: SecureKafka, token: Path) -> None:
    for wrong in (
        kafka.tokens.token(USER, AUDIENCE, lives_seconds=-3000),
        kafka.tokens.token(USER, "somebody else"),
        TokenIssuer().token(USER, AUDIENCE),
    ):
        token.write_text(wrong)
        sentence = refusal(at("LOGIN", **by_token(token)))
        assert "…SASL_OAUTH_…" in sentence
        assert wrong not in sentence


def test_a_client_certificate(at: Login, authority: Authority) -> None:
    mine = authority.issue(USER)
    round_trip(at("MTLS", ssl_certfile=mine.chain, ssl_keyfile=mine.key))
    round_trip(at("MTLS", ssl_certfile=mine.both))


def test_client_certificates_that_are_not_taken(at: Login, authority: Authority, tmp_path: Path) -> None:
    for wrong in (authority.issue("late", expired=True), Authority(tmp_path).issue(USER)):
        sentence = refusal(at("MTLS", ssl_certfile=wrong.chain, ssl_keyfile=wrong.key))
        assert "KINDRED_KAFKA__SSL_CERTFILE" in sentence
    assert "KINDRED_KAFKA__SSL_CERTFILE" in refusal(at("MTLS"))


def test_servers_that_are_not_trusted(at: Login, tmp_path: Path) -> None:
    login = by_password("PLAIN")
    assert "another host" in refusal(at("LOGIN", "localhost", **login))
    assert "SSL_CAFILE" in refusal(at("LOGIN", **login | {"ssl_cafile": Authority(tmp_path).cafile}))
    assert "has expired" in refusal(at("EXPIRED"))


def test_the_wrong_kind_of_connection(at: Login) -> None:
    for listener, protocol in (("LOGIN", "PLAINTEXT"), ("CLEAR", "PLAINTEXT"), ("CLEAR", "SSL")):
        with pytest.raises(Outage, match=r"SECURITY_PROTOCOL=.* may not suit it"):
            admitted(KafkaSettings(**at(listener, security_protocol=protocol)), patience_seconds=5)


def test_in_the_clear_on_this_machine(at: Login) -> None:
    round_trip(at("CLEAR", **by_password("PLAIN")))


def test_a_password_does_not_follow_the_brokers_to_another_machine(at: Login) -> None:
    """Reached on this machine, they send their clients elsewhere."""
    elsewhere = at("AWAY", **by_password("PLAIN"))
    assert "would travel to broker.example in plain text" in refusal(elsewhere)
    assert admitted(KafkaSettings(**elsewhere, allow_plaintext_secrets=True))


def test_no_log_of_the_client_holds_a_password_or_a_token(
    at: Login, token: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At its debug level kafka-python writes every frame, and so every login."""
    with caplog.at_level(logging.DEBUG):
        round_trip(at("LOGIN", **by_password("PLAIN")))
        round_trip(at("LOGIN", **by_token(token)))
        refusal(at("LOGIN", **by_password("PLAIN", "wr0ng")))
    assert "Authenticated as kindred via SASL / Plain" in caplog.text
    for secret in (PASSWORD, token.read_text(), "wr0ng"):
        assert secret not in caplog.text


def test_a_worker_needs_to_read_its_topics_and_its_group_and_nothing_else(at: Login) -> None:
    stranger = KafkaSettings(**at("LOGIN", **by_password("PLAIN", user=STRANGER)))
    name = f"t{secrets.token_hex(4)}"
    ours = Settings(
        _env_file=None, namespace=name, kafka=KafkaSettings(**at("CLEAR", **by_password("PLAIN")))
    )
    with pytest.raises(Misconfigured, match="Authorization failed"):
        create_topics(ours.model_copy(update={"kafka": stranger}), partitions=1)
    create_topics(ours, partitions=1)
    with pytest.raises(Misconfigured, match="a user without rights on it does not see it"):
        join(stranger, f"{name}.items", name)
    allow(ours, ResourceType.TOPIC, f"{name}.items")
    with pytest.raises(Misconfigured, match="Kafka denies access"):
        join(stranger, f"{name}.items", name)
    with pytest.raises(Misconfigured, match="Kafka denies access"), Producer(stranger) as producer:
        producer.send(Record(f"{name}.items", 0, 0, 0, b"3", b"{}"))
    allow(ours, ResourceType.GROUP, name)
    join(stranger, f"{name}.items", name)


def allow(settings: Settings, kind: ResourceType, name: str) -> None:
    """Let the stranger read it."""
    place = ResourcePattern(kind, name)
    with administered(settings) as admin:
        admin.create_acls([
            ACL(f"User:{STRANGER}", "*", ACLOperation.READ, ACLPermissionType.ALLOW, place)
        ])  # fmt: skip


def join(settings: KafkaSettings, topic: str, group: str) -> None:
    source = Source(settings, [topic], group, batch_size=10)
    try:
        eventually(lambda: source.poll() and source.is_joined)
    finally:
        source.close()


def test_a_login_is_renewed_before_its_token_ends(at: Login, kafka: SecureKafka, token: Path) -> None:
    """KIP-368: the broker ends a connection whose token has, unless the client logs in again in time."""
    name = f"t{secrets.token_hex(4)}"
    settings = KafkaSettings(**at("LOGIN", **by_token(token)))
    create_topics(Settings(_env_file=None, namespace=name, kafka=settings), partitions=1)
    token.write_text(kafka.tokens.token(USER, AUDIENCE, lives_seconds=12))
    source = Source(settings, [f"{name}.items"], name, batch_size=10)
    try:
        eventually(lambda: source.poll() and source.is_joined)
        for _ in range(5):
            token.write_text(kafka.tokens.token(USER, AUDIENCE, lives_seconds=12))
            until = time.monotonic() + 5
            while time.monotonic() < until:
                source.poll()
                source.end_offsets()
        assert source.is_joined
        assert source.rejoins == 0
    finally:
        source.close()


def test_a_token_that_nobody_renews_ends_the_worker(at: Login, kafka: SecureKafka, token: Path) -> None:
    name = f"t{secrets.token_hex(4)}"
    settings = KafkaSettings(**at("LOGIN", **by_token(token)), join_timeout_seconds=5)
    create_topics(Settings(_env_file=None, namespace=name, kafka=settings), partitions=1)
    token.write_text(kafka.tokens.token(USER, AUDIENCE, lives_seconds=5))
    source = Source(settings, [f"{name}.items"], name, batch_size=10)
    with pytest.raises(Misconfigured, match="refuses the login"):
        eventually(lambda: _works_for_ever(source), seconds=120)


def _works_for_ever(source: Source) -> bool:
    """What the polling thread of a worker does."""
    with suppress(Outage):
        source.poll()
        source.end_offsets()
    return False


def test_a_worker_with_everything_encrypted(at: Login, authority: Authority, tmp_path: Path) -> None:
    with (
        secure_postgres(authority) as postgres,
        temporary_folder() as folder,
        embedded_qdrant.launch(folder, "s3cret") as qdrant,
    ):
        qdrant.wait_until_ready()
        plain = urlsplit(qdrant.address).port or 0
        with tls_front(plain, authority.issue("qdrant")) as port:
            where = f"127.0.0.1:{postgres.port}/postgres?sslmode=verify-full&sslrootcert={authority.cafile}"
            settings = Settings(
                _env_file=None,
                namespace=f"t{secrets.token_hex(4)}",
                kafka=KafkaSettings(**at("LOGIN", **by_password("SCRAM-SHA-512"))),
                postgres=PostgresSettings(url=f"postgresql://kindred:{postgres.password}@{where}"),
                qdrant=QdrantSettings(
                    url=f"https://127.0.0.1:{port}", api_key="s3cret", ssl_cafile=authority.cafile
                ),
            )  # fmt: skip
            _works(prepare(settings, tmp_path))


def _works(settings: Settings) -> None:
    create_topics(settings, partitions=2)
    with running(settings), producing(settings) as send:
        eventually(lambda: is_ready(settings))
        send("interactions", "ann", interaction("ann", "3", 1))
        eventually(lambda: metric(settings, "kindred_users_embedded_total") >= 1)
        command = CliRunner().invoke(app, ["doctor", "--json"], env=environment(settings))
    findings = {each["subject"]: each for each in json.loads(command.stdout)}
    for server in ("kafka", "postgres", "qdrant"):
        assert findings[f"{server} encryption"]["state"] == "ok"
        assert "certificate checked" in findings[f"{server} encryption"]["says"]
    assert all(each["state"] != "wrong" for each in findings.values()), findings
