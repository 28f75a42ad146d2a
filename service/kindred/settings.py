"""Settings: environment variables `KINDRED_…`, an `.env` file, and a directory of secrets.

Nested names take two underscores: `KINDRED_KAFKA__BOOTSTRAP_SERVERS`. Every default suits one box.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from kindred.errors import Misconfigured
from kindred.safe_text import masked
from kindred.server_settings import Group, KafkaSettings, PostgresSettings, QdrantSettings

__all__ = [
    "KafkaSettings",
    "PostgresSettings",
    "QdrantSettings",
    "Settings",
    "WorkerSettings",
    "load_settings",
]


class WorkerSettings(Group):
    """The long-running loop."""

    batch_size: int = Field(2_000, ge=1)
    max_batch_age_seconds: float = 300.0
    max_skew_seconds: float = 300.0
    breaker_max_share: float = Field(0.5, description="Poison above this share pauses a partition.")
    breaker_min_records: int = Field(100, ge=1, description="But not before so many records were seen.")
    breaker_window_records: int = Field(
        1_000, description="How many of a partition's newest records count; no fewer than that."
    )
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

    @model_validator(mode="after")
    def _window_holds_enough(self) -> WorkerSettings:
        if self.breaker_window_records < self.breaker_min_records:
            raise ValueError(
                "breaker_window_records is less than breaker_min_records: nothing would ever pause"
            )
        return self


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
        secrets = NestedSecretsSettingsSource(
            file_secret_settings, secrets_nested_delimiter="__", secrets_dir_missing="error"
        )
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
    except SettingsError as error:  # a group given as JSON that is none, a secrets directory that is a file
        raise Misconfigured(
            f"Settings are not valid: {error}. Check KINDRED_SECRETS_DIR, and what is given as JSON."
        ) from None


def _wrong(fault: Any) -> str:
    known = {"extra_forbidden": "there is no such setting; `kindred settings` lists them"}
    return known.get(fault["type"], str(fault["msg"]).removeprefix("Value error, "))


def _variable(location: tuple[int | str, ...]) -> str:
    return "KINDRED_" + "__".join(str(part).upper() for part in location)


def _flattened(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        variable = f"{prefix}{'_' if prefix == 'KINDRED' else '__'}{name.upper()}"
        if isinstance(value, dict):
            yield from _flattened(variable, value)
        else:
            yield variable, "" if value is None else masked(str(value))
