"""What travels in plain text, for `kindred doctor`: (whether that is all right, what to say about it)."""

from __future__ import annotations

from kindred.history.connection import Database
from kindred.history.encryption import look
from kindred.settings import Settings
from kindred.transport import is_local
from kindred.vectors.connection import host

Said = tuple[bool, str]

_ADVICE = "docs/security.md says how to encrypt it"
_VERIFYING = frozenset({"verify-ca", "verify-full"})


def of_kafka(settings: Settings) -> Said:
    """From the settings: every client of ours uses them."""
    kafka = settings.kafka
    login = f", login with {kafka.sasl_mechanism}" if kafka.has_login else ""
    if not kafka.is_encrypted:
        unused = kafka.sasl_password is not None and not kafka.has_login
        note = "; KINDRED_KAFKA__SASL_PASSWORD is set, and not used" if unused else ""
        is_fine, says = _in_the_clear(kafka.hosts)
        return is_fine and not unused, f"{kafka.security_protocol}{login}: {says}{note}"
    if not kafka.ssl_check_hostname:
        return False, f"encrypted{login}, but any certificate of the CA will do (…SSL_CHECK_HOSTNAME=false)"
    return True, f"encrypted, certificate checked{login}"


def of_postgres(settings: Settings, database: Database) -> Said:
    """From a connection. Raises Misconfigured, Outage."""
    found = look(database, settings.postgres)
    if not found.is_encrypted:
        return _in_the_clear([found.host])
    if found.mode not in _VERIFYING:
        return False, (
            f"encrypted, but with sslmode {found.mode} anybody could stand in for the server: set "
            "KINDRED_POSTGRES__SSL_MODE=verify-full and KINDRED_POSTGRES__SSL_CAFILE"
        )
    return True, f"encrypted, certificate checked ({found.mode})"


def of_qdrant(settings: Settings) -> Said:
    """From the address. Raises Misconfigured where that is none."""
    place = host(settings.qdrant)
    if settings.qdrant.is_encrypted:
        return True, "encrypted, certificate checked"
    return _in_the_clear([place])


def _in_the_clear(hosts: list[str]) -> Said:
    away = [host for host in hosts if not is_local(host)]
    if not away:
        return True, "not encrypted, and stays on this machine"
    return False, f"everything travels to {', '.join(away)} in plain text; {_ADVICE}"
