"""Settings: environment variables `KINDRED_…`, an `.env` file, and a directory of secrets.

Nested names take two underscores: `KINDRED_KAFKA__BOOTSTRAP_SERVERS`. Every default suits one box.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from kindred.errors import Misconfigured

# Up to the last @: a password that nobody encoded may hold @ and / itself. And libpq's `password=…`.
_PASSWORD_IN_URL = re.compile(r"(://[^:/?#]*:).+(?=@)|(password\s*=\s*)(?:'[^']*'|[^&\s]+)")


class _Group(BaseModel):
    model_config = {"extra": "forbid"}


class KafkaSettings(_Group):
    """Connection and consumer settings; security fields are passed to kafka-python as they are."""

    bootstrap_servers: str = "localhost:9092"
    interactions_topic: str = "interactions"
    users_topic: str = "users"
    items_topic: str = "items"
    group_id: str = "kindred"
    group_instance_id: str | None = Field(None, description="Static membership; one per worker, stable.")
    session_timeout_ms: int = Field(10_000, description="After kill -9 partitions move this long later.")
    max_poll_interval_ms: int = 300_000
    join_timeout_seconds: float = Field(30.0, description="The watchdog recreates a consumer stuck so long.")
    fetch_max_wait_ms: int = Field(
        500, description="A broker holds an empty fetch so long. Tansu answers only after half of it, always."
    )
    on_lost_offsets: Literal["stop", "earliest"] = Field(
        "stop",
        description="When retention has deleted the committed offset: stop, or go on from the earliest.",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_key_password: SecretStr | None = None
    ssl_check_hostname: bool = True

    def client_options(self) -> dict[str, Any]:
        """Connection keyword arguments for any kafka-python client."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": _reveal(self.sasl_password),
            "ssl_cafile": _text(self.ssl_cafile),
            "ssl_certfile": _text(self.ssl_certfile),
            "ssl_keyfile": _text(self.ssl_keyfile),
            "ssl_password": _reveal(self.ssl_key_password),
            "ssl_check_hostname": self.ssl_check_hostname,
        }
        return {name: value for name, value in options.items() if value is not None}


class PostgresSettings(_Group):
    """`url` as libpq understands it: postgresql://user@host/database?sslmode=verify-full."""

    url: str = "postgresql://localhost/kindred"
    password: SecretStr | None = Field(None, description="Instead of a password within the URL.")
    schema_name: str = "kindred"
    statement_timeout_seconds: float = 30.0
    lock_timeout_seconds: float = 10.0
    retention_days: int = Field(400, ge=0, description="Kept in the log; older is a dead letter. 0: all.")
    dead_letter_retention_days: int = 30
    history_limit: int = Field(100, description="Interactions kept in a user's window.", ge=1, le=1000)


class QdrantSettings(_Group):
    """Where the vectors go."""

    url: str = "http://localhost:6333"
    api_key: SecretStr | None = None
    timeout_seconds: float = 30.0
    shard_number: int | None = None
    replication_factor: int | None = None


class WorkerSettings(_Group):
    """The long-running loop."""

    batch_size: int = Field(2_000, ge=1)
    max_batch_age_seconds: float = 300.0
    max_skew_seconds: float = 300.0
    breaker_max_share: float = Field(0.5, description="Poison above this share pauses a partition.")
    breaker_min_records: int = Field(100, description="But not before so many records were seen.")
    http_host: str = "0.0.0.0"
    http_port: int = 8080
    dtype: Literal["float32", "bfloat16"] = "float32"
    threads: int = Field(1, description="Threads of one forward pass.")
    popularity_half_life_days: float = 14.0
    popularity_interval_seconds: float = 60.0
    housekeeping_interval_seconds: float = 5.0
    reopen_on_interaction: bool = Field(
        False, description="For deployments without profiles: see docs/events.md."
    )


class Settings(BaseSettings):
    """All of it. `load_settings()` turns a wrong value into one sentence."""

    model_config = SettingsConfigDict(
        env_prefix="KINDRED_", env_nested_delimiter="__", env_file=".env", extra="ignore"
    )

    namespace: str = Field("", description="Prefixes topics, group, schema and collections.")
    checkpoint: Path = Field(Path("build/model"), description="The model a new installation starts with.")
    declaration: Path | None = Field(None, description="TOML file; the film shop's without one.")
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()
    qdrant: QdrantSettings = QdrantSettings()
    worker: WorkerSettings = WorkerSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """As by default, but a secret's file is named like its variable, also a nested one."""
        secrets = NestedSecretsSettingsSource(file_secret_settings, secrets_nested_delimiter="__")
        return init_settings, env_settings, dotenv_settings, secrets

    @field_validator("namespace")
    @classmethod
    def _plain_namespace(cls, value: str) -> str:
        # It becomes part of a topic, a schema and a collection name at once.
        if value and not (value.isascii() and value.islower() and value.isidentifier() and len(value) <= 32):
            raise ValueError("use up to 32 lower-case letters, digits and underscores, a letter first")
        return value

    def topic(self, name: str) -> str:
        """Physical name of a topic or consumer group."""
        return f"{self.namespace}.{name}" if self.namespace else name

    @property
    def schema_name(self) -> str:
        """Physical Postgres schema."""
        return (
            f"{self.namespace}_{self.postgres.schema_name}" if self.namespace else self.postgres.schema_name
        )

    def masked(self) -> dict[str, str]:
        """Every setting by its variable's name; secrets, also within a URL, are masked."""
        return dict(_flattened("KINDRED", self.model_dump(mode="json")))


def load_settings(**overrides: Any) -> Settings:
    """Read the settings. Raises Misconfigured, naming each variable and what is wrong with it."""
    secrets = os.environ.get("KINDRED_SECRETS_DIR")
    try:
        return Settings(_secrets_dir=secrets, **overrides)
    except ValidationError as error:
        faults = "; ".join(f"{_variable(fault['loc'])}: {_wrong(fault)}" for fault in error.errors())
        raise Misconfigured(f"Settings are not valid. {faults}.") from None


def _wrong(fault: Any) -> str:
    known = {"extra_forbidden": "there is no such setting; `kindred settings` lists them"}
    return known.get(fault["type"], str(fault["msg"]))


def _variable(location: tuple[int | str, ...]) -> str:
    return "KINDRED_" + "__".join(str(part).upper() for part in location)


def _flattened(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        variable = f"{prefix}{'_' if prefix == 'KINDRED' else '__'}{name.upper()}"
        if isinstance(value, dict):
            yield from _flattened(variable, value)
        else:
            yield variable, "" if value is None else _PASSWORD_IN_URL.sub(r"\1\2***", str(value))


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
