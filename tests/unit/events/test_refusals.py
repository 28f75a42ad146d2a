"""What is permanently wrong ends a worker with one sentence that names a setting; all else is an outage."""

from __future__ import annotations

import pytest
from kafka import errors as kafka_errors

from kindred.errors import Misconfigured, Outage
from kindred.events.refusals import meaning
from kindred.server_settings import KafkaSettings

PERMANENT = {
    kafka_errors.SaslAuthenticationFailedError: "SASL_USERNAME",
    kafka_errors.UnsupportedSaslMechanismError: "SASL_MECHANISM",
    kafka_errors.IllegalSaslStateError: "SECURITY_PROTOCOL",
    kafka_errors.GroupAuthorizationFailedError: None,
    kafka_errors.InvalidSessionTimeoutError: "SESSION_TIMEOUT_MS",
    kafka_errors.FencedInstanceIdError: "GROUP_INSTANCE_ID",
    kafka_errors.InconsistentGroupProtocolError: "GROUP_ID",
    kafka_errors.InvalidGroupIdError: "GROUP_ID",
}


@pytest.mark.parametrize(("kind", "setting"), PERMANENT.items())
def test_what_no_waiting_mends_is_a_misconfiguration(
    kind: type[kafka_errors.KafkaError], setting: str | None
) -> None:
    found = meaning(kind())
    assert isinstance(found, Misconfigured)
    assert "\n" not in str(found)
    if setting:
        assert f"KINDRED_KAFKA__{setting}" in str(found)
        assert setting.lower() in KafkaSettings.model_fields


@pytest.mark.parametrize(
    "kind",
    [
        kafka_errors.NodeNotReadyError,
        kafka_errors.RequestTimedOutError,
        kafka_errors.GroupMaxSizeReachedError,  # until a member leaves
        kafka_errors.KafkaConnectionError,
    ],
)
def test_what_may_pass_is_an_outage(kind: type[kafka_errors.KafkaError]) -> None:
    assert isinstance(meaning(kind()), Outage)
