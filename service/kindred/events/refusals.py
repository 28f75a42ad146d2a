"""What the Kafka client's errors mean."""

from __future__ import annotations

from kafka import errors as kafka_errors

from kindred.errors import KindredError, Misconfigured, Outage
from kindred.transport import ServerNames, tls_failure

_SERVER = ServerNames("Kafka", "KINDRED_KAFKA__", "BOOTSTRAP_SERVERS")

_CHECK = {
    kafka_errors.SaslAuthenticationFailedError: (
        "Kafka refuses the login",
        "Check KINDRED_KAFKA__SASL_USERNAME and …SASL_PASSWORD or, with OAUTHBEARER, …SASL_OAUTH_….",
    ),
    kafka_errors.UnsupportedSaslMechanismError: (
        "Kafka does not offer this kind of login",
        "Check KINDRED_KAFKA__SASL_MECHANISM.",
    ),
    kafka_errors.IllegalSaslStateError: (
        "Kafka asks for no login at this port",
        "Check KINDRED_KAFKA__SECURITY_PROTOCOL and KINDRED_KAFKA__BOOTSTRAP_SERVERS.",
    ),
    kafka_errors.AuthorizationError: (
        "Kafka denies access",
        "Give this user its rights on topics and group; docs/security.md lists them.",
    ),
    kafka_errors.InvalidSessionTimeoutError: (
        "Kafka refuses the session timeout",
        "Set KINDRED_KAFKA__SESSION_TIMEOUT_MS within the brokers' group.min.session.timeout.ms (6000 by "
        "default) and group.max.session.timeout.ms.",
    ),
    kafka_errors.FencedInstanceIdError: (
        "Another worker has this one's group instance id",
        "Give each its own KINDRED_KAFKA__GROUP_INSTANCE_ID, or none.",
    ),
    kafka_errors.InconsistentGroupProtocolError: (
        "The group has members of another kind",
        "Give Kindred a KINDRED_KAFKA__GROUP_ID of its own.",
    ),
    kafka_errors.InvalidGroupIdError: (
        "Kafka refuses the group's name",
        "Set KINDRED_KAFKA__GROUP_ID.",
    ),
}


def meaning(error: Exception) -> KindredError:
    """The error of ours that says what to do: Misconfigured for a refusal, Outage for all others."""
    if failure := tls_failure(error, _SERVER):
        return failure
    reason = (str(error) or type(error).__name__).removesuffix(": None")
    what_it_says = reason.rpartition("Error: ")[2].rstrip(".")  # behind the names of nested classes
    for kind, (what, advice) in _CHECK.items():
        if isinstance(error, kind):
            return Misconfigured(f"{what} ({what_it_says}). {advice}")
    if "AuthorizationFailed" in reason:  # the producer wraps it in a KafkaError of no kind
        what, advice = _CHECK[kafka_errors.AuthorizationError]
        return Misconfigured(f"{what} ({reason}). {advice}")
    return Outage("kafka", reason)
