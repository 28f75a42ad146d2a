"""The address of Postgres with login and certificates, and what it means when nobody gets in there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa
from psycopg import pq
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from kindred.errors import KindredError, Misconfigured, Outage
from kindred.settings import PostgresSettings
from kindred.transport import refuse_plaintext

PLAINTEXT_MODES = frozenset({"disable", "allow", "prefer"})  # the last two as soon as the server says so

# Signs in libpq's messages, which carry no SQLSTATE before a connection stands, and what to do about it.
_REFUSED_LOGINS = {
    "certificate authentication failed": "KINDRED_POSTGRES__SSL_CERTFILE is another user's.",
    "requires a valid client certificate": "Set KINDRED_POSTGRES__SSL_CERTFILE and …SSL_KEYFILE.",
    "authentication failed": "Check KINDRED_POSTGRES__URL and KINDRED_POSTGRES__PASSWORD.",
    "no password supplied": "Set KINDRED_POSTGRES__PASSWORD.",
    "no pg_hba.conf entry": "Check the user in KINDRED_POSTGRES__URL, and KINDRED_POSTGRES__SSL_MODE.",
}
_REFUSED_CONNECTIONS = {
    "does not match host name": "Check KINDRED_POSTGRES__URL: use a name that the certificate is for.",
    "certificate verify failed": (
        "Check KINDRED_POSTGRES__SSL_CAFILE, and whether the server's certificate has expired."
    ),
    "root certificate file": "Check KINDRED_POSTGRES__SSL_CAFILE.",
    "private key file": "Check KINDRED_POSTGRES__SSL_KEYFILE and …SSL_KEY_PASSWORD.",
    "certificate file": "Check KINDRED_POSTGRES__SSL_CERTFILE.",
    "server does not support SSL": "Switch it on there, or change KINDRED_POSTGRES__SSL_MODE.",
    " alert ": "Check KINDRED_POSTGRES__SSL_CERTFILE and …SSL_KEYFILE.",
    "invalid sslmode value": "Check KINDRED_POSTGRES__URL.",
    "invalid port number": "Check KINDRED_POSTGRES__URL.",
    "does not exist": "Check KINDRED_POSTGRES__URL.",
}


def address(settings: PostgresSettings) -> sa.URL:
    """As SQLAlchemy takes it. Raises Misconfigured where a password would travel in plain text."""
    url = _url(settings)
    if settings.password is not None:
        url = url.set(password=settings.password.get_secret_value())
    effective = target(url, certificates(settings))
    if unknown := effective.keys() - _known_options().keys():
        raise Misconfigured(f"KINDRED_POSTGRES__URL: Postgres knows no option {', '.join(sorted(unknown))}.")
    if not settings.allow_plaintext_secrets:
        _refuse_plaintext(effective)
    return url


def certificates(settings: PostgresSettings) -> dict[str, str]:
    """libpq's options for encryption, beside the URL, where they win. Raises Misconfigured."""
    settings.require_files("KINDRED_POSTGRES__")
    key = settings.ssl_keyfile or settings.ssl_certfile
    options = {
        "sslmode": settings.ssl_mode or _default_mode(settings),
        "sslrootcert": settings.ssl_cafile,
        "sslcert": settings.ssl_certfile,
        "sslkey": key,
        "sslpassword": key and settings.key_password,
    }
    return {name: str(value) for name, value in options.items() if value is not None}


def target(url: sa.URL, certificates: dict[str, str]) -> dict[str, str]:
    """Every option that is in force, libpq's own environment variables and defaults included."""
    _, given = PGDialect_psycopg().create_connect_args(url)  # type: ignore[no-untyped-call]
    found = _known_options() | {name: str(value) for name, value in given.items()} | certificates
    return {name: value for name, value in found.items() if value}


def hosts(target: Mapping[str, str]) -> list[str]:
    """Each host that may be asked; a folder stands for a Unix socket, and so does an empty name."""
    return (target.get("hostaddr") or target.get("host", "")).split(",")


def meaning_of_connect_failure(reason: str) -> KindredError:
    """Misconfigured where a person must change something, Outage where waiting may help."""
    reason = reason.removeprefix("connection failed: ").rstrip(". ")
    for what, signs in (("refuses the login", _REFUSED_LOGINS), ("cannot be reached", _REFUSED_CONNECTIONS)):
        for sign, advice in signs.items():
            if sign in reason:
                return Misconfigured(f"Postgres {what}: {reason}. {advice}")
    return Outage("postgres", reason)


def _url(settings: PostgresSettings) -> sa.URL:
    try:
        url = sa.make_url(settings.url)
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if url is None or url.get_backend_name() not in {"postgresql", "postgres"}:
        raise Misconfigured("KINDRED_POSTGRES__URL is no URL: postgresql://user@host:5432/database.")
    return url.set(drivername="postgresql+psycopg")


def _default_mode(settings: PostgresSettings) -> str | None:
    """A CA file that nobody compares anything with would be a mistake."""
    says = "sslmode" in _url(settings).query
    return "verify-full" if settings.ssl_cafile and not says else None


def _refuse_plaintext(effective: Mapping[str, str]) -> None:
    if effective["sslmode"] not in PLAINTEXT_MODES or not _sends_password(effective):
        return
    refuse_plaintext(
        "The password for Postgres", hosts(effective),
        "Set KINDRED_POSTGRES__SSL_MODE=verify-full and KINDRED_POSTGRES__SSL_CAFILE",
        "KINDRED_POSTGRES__ALLOW_PLAINTEXT_SECRETS",
    )  # fmt: skip


def _sends_password(effective: Mapping[str, str]) -> bool:
    own = Path(effective.get("passfile") or "~/.pgpass").expanduser()
    return "password" in effective or own.is_file()


def _known_options() -> dict[str, str]:
    return {each.keyword.decode(): (each.val or b"").decode() for each in pq.Conninfo.get_defaults()}
