"""Where settings come from, and that no secret is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from kindred.errors import Misconfigured
from kindred.settings import KafkaSettings, Settings, load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variables and the .env file of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in Settings().masked():
        monkeypatch.delenv(name, raising=False)


def test_nested_names_take_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDRED_KAFKA__BOOTSTRAP_SERVERS", "one:9092,two:9092")
    monkeypatch.setenv("KINDRED_WORKER__BATCH_SIZE", "7")
    settings = load_settings()
    assert settings.kafka.bootstrap == ["one:9092", "two:9092"]
    assert settings.worker.batch_size == 7
    assert settings.worker.max_batch_age_seconds == 300


def test_an_env_file_counts_less_than_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("KINDRED_NAMESPACE=from_file\nKINDRED_QDRANT__URL=http://file:6333\n")
    monkeypatch.setenv("KINDRED_NAMESPACE", "from_variable")
    settings = load_settings()
    assert settings.namespace == "from_variable"
    assert settings.qdrant.url == "http://file:6333"


def test_secrets_are_read_from_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "KINDRED_POSTGRES__PASSWORD").write_text("from-a-file\n")
    monkeypatch.setenv("KINDRED_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("KINDRED_POSTGRES__URL", "postgresql://someone@host/database")
    settings = load_settings()
    assert settings.postgres.password is not None
    assert settings.postgres.password.get_secret_value() == "from-a-file"
    assert settings.postgres.url == "postgresql://someone@host/database"


def test_a_directory_of_secrets_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for name in ("missing", "file"):
        monkeypatch.setenv("KINDRED_SECRETS_DIR", str(tmp_path / name))
        with pytest.raises(Misconfigured):
            load_settings()


@pytest.mark.parametrize(
    ("settings", "lacking"),
    [
        ({}, "SASL_MECHANISM"),
        ({"SASL_MECHANISM": "PLAIN"}, "SASL_USERNAME"),
        ({"SASL_MECHANISM": "SCRAM-SHA-512", "SASL_USERNAME": "ann"}, "SASL_PASSWORD"),
        ({"SASL_MECHANISM": "OAUTHBEARER"}, "SASL_OAUTH_TOKEN_FILE"),
        ({"SASL_MECHANISM": "OAUTHBEARER", "SASL_OAUTH_TOKEN_URL": "https://x"}, "CLIENT_SECRET"),
    ],
)
def test_a_login_that_is_not_complete(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], lacking: str
) -> None:
    monkeypatch.setenv("KINDRED_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    for name, value in settings.items():
        monkeypatch.setenv(f"KINDRED_KAFKA__{name}", value)
    with pytest.raises(Misconfigured, match=f"SASL_SSL needs .*{lacking}"):
        load_settings()


@pytest.mark.parametrize(
    "servers", ["kafka:port", "a:1:2", "", "a:1,,b:2", "u:s3cret@kafka:9092", "SSL://a:1"]
)
def test_addresses_of_kafka_that_are_none(monkeypatch: pytest.MonkeyPatch, servers: str) -> None:
    monkeypatch.setenv("KINDRED_KAFKA__BOOTSTRAP_SERVERS", servers)
    with pytest.raises(Misconfigured, match="BOOTSTRAP_SERVERS: write host:port") as refused:
        load_settings()
    assert "s3cret" not in str(refused.value)


def test_a_breaker_that_could_never_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDRED_WORKER__BREAKER_WINDOW_RECORDS", "99")
    with pytest.raises(Misconfigured, match="nothing would ever pause"):
        load_settings()


def test_kafkas_hosts() -> None:
    kafka = KafkaSettings(bootstrap_servers="one:1, [::1]:2,three")
    assert kafka.bootstrap == ["one:1", "[::1]:2", "three"]
    assert kafka.hosts == ["one", "[::1]", "three"]


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "KINDRED_POSTGRES__PASSWORD",
        "KINDRED_QDRANT__API_KEY",
        "KINDRED_KAFKA__SASL_PASSWORD",
        "KINDRED_KAFKA__SSL_KEY_PASSWORD",
    ):
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("KINDRED_QDRANT__URL", "https://user:s3cret@qdrant:6333")
    settings = load_settings()
    assert "s3cret" not in str(settings.masked())
    assert "s3cret" not in repr(settings.postgres.password)
    assert settings.masked()["KINDRED_QDRANT__URL"] == "https://user:***@qdrant:6333"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@host/db",
        "postgresql://ann:s3/cret@host/db",
        "postgresql://ann:s3@cret@host/db",
        "postgresql://:s3cret@host/db",
        "postgresql://ann@host/db?password=s3cret&sslmode=require",
        "host=db password=s3cret user=ann",
    ],
)
def test_a_password_within_a_url_is_masked(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("KINDRED_POSTGRES__URL", url)
    shown = load_settings().masked()["KINDRED_POSTGRES__URL"]
    assert "cret" not in shown
    assert "***" in shown


def test_a_url_without_a_password_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDRED_POSTGRES__URL", "postgresql://ann@host:5432/db?sslmode=require")
    assert (
        load_settings().masked()["KINDRED_POSTGRES__URL"] == "postgresql://ann@host:5432/db?sslmode=require"
    )


def test_every_fault_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDRED_WORKER__BATCH_SIZE", "abc")
    monkeypatch.setenv("KINDRED_WORKER__BACH_SIZE", "1")
    monkeypatch.setenv("KINDRED_NAMESPACE", "Not A Name")
    with pytest.raises(Misconfigured) as raised:
        load_settings()
    for variable in ("KINDRED_WORKER__BATCH_SIZE", "KINDRED_WORKER__BACH_SIZE", "KINDRED_NAMESPACE"):
        assert variable in str(raised.value)


def test_a_namespace_prefixes_topics_and_schema() -> None:
    settings = Settings(_env_file=None, namespace="staging")
    assert settings.topic("interactions") == "staging.interactions"
    assert settings.schema_name == "staging_kindred"
