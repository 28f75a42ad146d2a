"""How each of the three servers is reached: addresses, logins, certificates.

Certificate settings have the same names for all three: `ssl_cafile` is the CA that signed the server's
certificate (without it, the system's CAs), `ssl_certfile` and `ssl_keyfile` prove who this client is.
docs/security.md shows each of them at work.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from kindred.transport import require_file

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

MOST_KEPT = 1_000  # interactions of a user's window

_HOST_AND_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\]]+)(?::[0-9]{1,5})?")
_PORT = re.compile(r":[0-9]+$")


class Group(BaseModel):
    """Settings that share a prefix; a name that there is not is an error."""

    model_config = {"extra": "forbid", "hide_input_in_errors": True}


class Server(Group):
    """What holds for each of the three. A private key has to be readable by its owner alone."""

    allow_plaintext_secrets: bool = Field(
        False,
        description="Send a password, key or token also without encryption to another machine: for "
        "networks that are private, or encrypted themselves.",
    )
    ssl_cafile: Path | None = Field(None, description="PEM file of the CA of the server's certificate.")
    ssl_certfile: Path | None = Field(None, description="PEM file: proves to the server who we are (mTLS).")
    ssl_keyfile: Path | None = Field(None, description="Its private key, where it is not in the same file.")
    ssl_key_password: SecretStr | None = None

    @property
    def key_password(self) -> str:
        """Never None, for which OpenSSL asks on the terminal; a key that has none takes any."""
        return self.ssl_key_password.get_secret_value() if self.ssl_key_password else "none was given"

    def require_files(self, prefix: str) -> None:
        """Raises Misconfigured for a file that cannot be read."""
        for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            require_file(f"{prefix}{name.upper()}", getattr(self, name))


class KafkaSettings(Server):
    """Connection and consumer settings."""

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
    sasl_mechanism: SaslMechanism | None = None
    sasl_username: str | None = Field(None, description="Of PLAIN and SCRAM.")
    sasl_password: SecretStr | None = Field(None, description="Of PLAIN and SCRAM.")
    sasl_oauth_token_file: Path | None = Field(
        None, description="OAUTHBEARER: a file with a token that something else renews; read at each login."
    )
    sasl_oauth_token_url: str | None = Field(
        None,
        repr=False,
        description="OAUTHBEARER: where client id and secret are exchanged for a token (RFC 6749, 4.4).",
    )
    sasl_oauth_client_id: str | None = None
    sasl_oauth_client_secret: SecretStr | None = None
    sasl_oauth_scope: str | None = None
    sasl_oauth_cafile: Path | None = Field(None, description="PEM file of the CA of the token URL.")
    ssl_check_hostname: bool = Field(True, description="False: any certificate of the CA will do.")

    @property
    def is_encrypted(self) -> bool:
        return self.security_protocol in {"SSL", "SASL_SSL"}

    @property
    def has_login(self) -> bool:
        return self.security_protocol in {"SASL_PLAINTEXT", "SASL_SSL"}

    @property
    def bootstrap(self) -> list[str]:
        """Each host:port."""
        return [server.strip() for server in self.bootstrap_servers.split(",")]

    @property
    def hosts(self) -> list[str]:
        """Each of them without its port."""
        return [_PORT.sub("", server) for server in self.bootstrap]

    @field_validator("bootstrap_servers")
    @classmethod
    def _plain_addresses(cls, value: str) -> str:
        if not all(_HOST_AND_PORT.fullmatch(server.strip()) for server in value.split(",")):
            raise ValueError("write host:port, or several with a comma between them")
        return value

    @model_validator(mode="after")
    def _complete_login(self) -> Self:
        if self.has_login and (lacking := self._lacking()):
            raise ValueError(f"{self.security_protocol} needs KINDRED_KAFKA__{lacking}")
        return self

    def _lacking(self) -> str | None:
        match self.sasl_mechanism:
            case None:
                return "SASL_MECHANISM"
            case "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" if not (
                self.sasl_username and self.sasl_password
            ):
                return "SASL_USERNAME and …SASL_PASSWORD"
            case "OAUTHBEARER" if not (self.sasl_oauth_token_file or self._has_client):
                return "SASL_OAUTH_TOKEN_FILE, or …TOKEN_URL, …CLIENT_ID and …CLIENT_SECRET"
        return None

    @property
    def _has_client(self) -> bool:
        return bool(self.sasl_oauth_token_url and self.sasl_oauth_client_id and self.sasl_oauth_client_secret)


class PostgresSettings(Server):
    """`url` as libpq understands it: postgresql://user@host/database?sslmode=verify-full."""

    url: str = Field("postgresql://localhost/kindred", repr=False)
    password: SecretStr | None = Field(None, description="Instead of a password within the URL.")
    ssl_mode: SslMode | None = Field(
        None, description="libpq's sslmode; verify-full where a CA file is given, else what the URL says."
    )
    schema_name: str = Field("kindred", pattern="^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)
    worker_role: str | None = Field(None, description="`kindred migrate` grants it what a worker needs.")
    reader_role: str | None = Field(None, description="And this one what commands need that only look.")
    statement_timeout_seconds: float = 30.0
    lock_timeout_seconds: float = 10.0
    retention_days: int = Field(400, ge=0, description="Kept in the log; older is a dead letter. 0: all.")
    dead_letter_retention_days: int = 30
    history_limit: int = Field(100, description="Interactions kept in a user's window.", ge=1, le=MOST_KEPT)


class QdrantSettings(Server):
    """Where the vectors go; an https:// address is what encrypts."""

    url: str = Field("http://localhost:6333", repr=False)
    api_key: SecretStr | None = None
    timeout_seconds: float = 30.0
    shard_number: int | None = None
    replication_factor: int | None = None

    @property
    def is_encrypted(self) -> bool:
        return self.url.lower().startswith("https:")
