"""How every Kafka client of ours gets in: the same options for all, tried once before they are used.

kafka-python 3.0.12 tries a refused login or certificate again, many times a second, until its bootstrap
times out, and then tells of nothing but the time-out. So a connection of our own goes first, which says why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kafka import errors as kafka_errors
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from pydantic import SecretStr

from kindred.errors import KindredError, Misconfigured, Outage
from kindred.events.oauth import token_provider
from kindred.events.refusals import meaning
from kindred.settings import KafkaSettings
from kindred.transport import refuse_plaintext

TRIAL_SECONDS = 8.0
SECOND_TRIAL_SECONDS = 2.0
PAUSE_SECONDS = 0.25
LEAST_SECONDS = 1.0  # a shorter trial would only say that it was too short

_HUNG_UP = ("socket disconnected", "UNEXPECTED_EOF", "reset by peer", "Invalid frame")


# At debug level they write every frame of a login, and every option.
for _name in ("kafka.net.connection", "kafka.protocol.parser", "kafka.admin.client"):
    logging.getLogger(_name).addFilter(lambda record: record.levelno > logging.DEBUG)


def admitted(settings: KafkaSettings, patience_seconds: float = TRIAL_SECONDS) -> dict[str, Any]:
    """Connection arguments for any kafka-python client, after the brokers have accepted them.

    Raises Misconfigured where they refuse login or certificate, Outage where none answers in time.
    """
    options = client_options(settings)
    deadline = time.monotonic() + patience_seconds
    while True:
        failure = _try_each(settings, options, deadline)
        if failure is None:
            return options
        if isinstance(failure, Misconfigured) or deadline - time.monotonic() < PAUSE_SECONDS + LEAST_SECONDS:
            raise failure
        time.sleep(PAUSE_SECONDS)


def raise_if_refused(settings: KafkaSettings) -> None:
    """Raises Misconfigured where the brokers let nobody in with these settings any more.

    A client that was once let in keeps trying, and calls it a time-out.
    """
    deadline = time.monotonic() + SECOND_TRIAL_SECONDS
    if isinstance(failure := _try_each(settings, client_options(settings), deadline), Misconfigured):
        raise failure


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """The same arguments, untried. Raises Misconfigured for files that cannot be read."""
    _refuse_plaintext(settings, settings.hosts)
    settings.require_files("KINDRED_KAFKA__")
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security_protocol,
        "ssl_cafile": settings.ssl_cafile,
        "ssl_certfile": settings.ssl_certfile,
        "ssl_keyfile": settings.ssl_keyfile,
        "ssl_password": settings.key_password,
        "ssl_check_hostname": settings.ssl_check_hostname,
    }
    if settings.has_login:
        options |= _login(settings)
    return {name: value for name, value in options.items() if value is not None}


def _login(settings: KafkaSettings) -> dict[str, Any]:
    bears_token = settings.sasl_mechanism == "OAUTHBEARER"
    return {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": _revealed(settings.sasl_password),
        "sasl_oauth_token_provider": token_provider(settings) if bears_token else None,
    }


def _refuse_plaintext(settings: KafkaSettings, hosts: list[str]) -> None:
    if settings.has_login and not (settings.is_encrypted or settings.allow_plaintext_secrets):
        refuse_plaintext(
            "The login of KINDRED_KAFKA__SASL_…", hosts, "Set KINDRED_KAFKA__SECURITY_PROTOCOL=SASL_SSL",
            "KINDRED_KAFKA__ALLOW_PLAINTEXT_SECRETS",
        )  # fmt: skip


# One connection


def _try_each(settings: KafkaSettings, options: Mapping[str, Any], deadline: float) -> KindredError | None:
    """None as soon as one server lets us in; what the last one said where none does."""
    failure: KindredError | None = None
    with _manager(options) as manager:
        for server in manager.cluster.bootstrap_brokers():
            failure = _try_server(settings, manager, server, deadline)
            if failure is None or isinstance(failure, Misconfigured):
                break
    return failure


class _Manager(KafkaConnectionManager):  # type: ignore[misc]
    """kafka-python throws away what was read together with the end of a connection: why it was refused."""

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        receive = transport._sock_recv

        def receive_last_words() -> tuple[bytes, Exception | None]:
            received, error = receive()
            return received, None if received else error  # the next read meets the same end again

        transport._sock_recv = receive_last_words
        return transport


@contextmanager
def _manager(options: Mapping[str, Any]) -> Iterator[KafkaConnectionManager]:
    loop = NetworkSelector()
    manager = _Manager(loop, **options)
    try:
        yield manager
    finally:
        manager.close()
        loop.close()


def _try_server(
    settings: KafkaSettings, manager: KafkaConnectionManager, server: Any, deadline: float
) -> KindredError | None:
    left_ms = max(1, int((deadline - time.monotonic()) * 1000))
    address = f"{server.host}:{server.port}"
    try:
        manager.run(manager.wait_for, manager.call_soon(_greet, manager, server.node_id), left_ms)
        # Clients go on to the addresses that the brokers advertise.
        _refuse_plaintext(settings, [broker.host for broker in manager.cluster.brokers()])
    except KindredError as failure:
        return failure
    except (kafka_errors.KafkaError, OSError, ValueError) as error:
        return _meaning(settings, error, address)
    return None


async def _greet(manager: KafkaConnectionManager, node_id: str) -> None:
    await manager.get_connection(node_id, refresh_metadata_on_err=False)
    await manager.cluster.refresh_metadata(node_id)  # refused to who should have logged in and has not


def _meaning(settings: KafkaSettings, error: Exception, address: str) -> KindredError:
    found = meaning(error)
    if not isinstance(found, Outage):
        return found
    if any(sign in found.reason for sign in _HUNG_UP):  # what a broker does that expects another protocol
        protocol = f"KINDRED_KAFKA__SECURITY_PROTOCOL={settings.security_protocol}"
        return Outage("kafka", f"{address} hangs up; {protocol} may not suit it")
    return Outage("kafka", f"{address}: {found.reason}")


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
