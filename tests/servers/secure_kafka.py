"""An Apache Kafka with a listener for each way in: TLS with client certificates, and every kind of login."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kindred.local.processes import free_port
from servers.certificates import Authority, Certificate
from servers.native import apache_kafka
from servers.tokens import TokenIssuer

# EXPIRED shows a certificate that has expired, CLEAR takes a password without TLS; AWAY as well, and sends
# its clients to another machine.
Listener = Literal["MTLS", "LOGIN", "EXPIRED", "CLEAR", "AWAY"]
PROTOCOLS: Mapping[Listener, str] = {
    "MTLS": "SSL", "LOGIN": "SASL_SSL", "EXPIRED": "SSL", "CLEAR": "SASL_PLAINTEXT",
    "AWAY": "SASL_PLAINTEXT",
}  # fmt: skip
USER, PASSWORD = "kindred", "correct horse"
STRANGER = "stranger"  # may log in, and nothing else
AUDIENCE = "brokers"

_MODULE = "org.apache.kafka.common.security"
_USERS = f'user_{USER}="{PASSWORD}" user_{STRANGER}="{PASSWORD}"'
_JAAS = {
    "plain": f"{_MODULE}.plain.PlainLoginModule required {_USERS};",
    "scram-sha-256": f"{_MODULE}.scram.ScramLoginModule required;",
    "scram-sha-512": f"{_MODULE}.scram.ScramLoginModule required;",
    "oauthbearer": f"{_MODULE}.oauthbearer.OAuthBearerLoginModule required;",
}


@dataclass(frozen=True, slots=True)
class SecureKafka:
    """`tokens` are those that it accepts."""

    ports: Mapping[Listener, int]
    tokens: TokenIssuer

    def address(self, listener: Listener, host: str = "127.0.0.1") -> str:
        return f"{host}:{self.ports[listener]}"


@contextmanager
def secure_kafka(folder: Path, authority: Authority) -> Iterator[SecureKafka]:
    """Ready, with certificates for 127.0.0.1 alone. Raises NoServerError without Java and Maven."""
    server = SecureKafka({listener: free_port() for listener in PROTOCOLS}, TokenIssuer())
    keys = folder / "keys.json"
    server.tokens.write_keys(keys)
    inner = free_port()
    properties = {
        **_listeners(server, inner),
        **_certificates(authority),
        **_logins(keys.as_uri()),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{USER}",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+),.*$/$1/",
    }
    with apache_kafka(
        inner,
        "\n".join(f"{name}={value}" for name, value in properties.items()),
        others=server.ports.values(),
        users=[f"{kind}=[name={USER},password={PASSWORD}]" for kind in ("SCRAM-SHA-256", "SCRAM-SHA-512")],
        jvm_options=[f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys.as_uri()}"],
    ):
        yield server


def _listeners(server: SecureKafka, inner: int) -> dict[str, str]:
    places = {name: f"{name}://127.0.0.1:{port}" for name, port in server.ports.items()}
    ours = ",".join([f"INNER://127.0.0.1:{inner}", *places.values()])
    protocols = ",".join(f"{name}:{protocol}" for name, protocol in PROTOCOLS.items())
    return {
        "listeners": f"{ours},CONTROLLER://127.0.0.1:{free_port()}",
        "advertised.listeners": ours.replace("AWAY://127.0.0.1", "AWAY://broker.example"),
        "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,INNER:PLAINTEXT,{protocols}",
        "inter.broker.listener.name": "INNER",
    }


def _certificates(authority: Authority) -> dict[str, str]:
    shown = _shown("", authority.issue("broker", "127.0.0.1"))
    expired = _shown("listener.name.expired.", authority.issue("expired", "127.0.0.1", expired=True))
    trusted = {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(authority.cafile)}
    return shown | expired | trusted | {"listener.name.mtls.ssl.client.auth": "required"}


def _shown(prefix: str, certificate: Certificate) -> dict[str, str]:
    return {f"{prefix}ssl.keystore.type": "PEM", f"{prefix}ssl.keystore.location": str(certificate.both)}


def _logins(keys_url: str) -> dict[str, str]:
    found = {
        "sasl.enabled.mechanisms": ",".join(mechanism.upper() for mechanism in _JAAS),
        # The default of Kafka 4.1.0 checks no signature, whatever keys it is given (measured).
        "sasl.oauthbearer.jwt.validator.class": f"{_MODULE}.oauthbearer.BrokerJwtValidator",
        "sasl.oauthbearer.jwks.endpoint.url": keys_url,
        "sasl.oauthbearer.expected.audience": AUDIENCE,
    }
    for listener in ("login", "clear", "away"):
        for mechanism, line in _JAAS.items():
            found[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = line
        handler = f"listener.name.{listener}.oauthbearer.sasl.server.callback.handler.class"
        found[handler] = f"{_MODULE}.oauthbearer.OAuthBearerValidatorCallbackHandler"
    return found
