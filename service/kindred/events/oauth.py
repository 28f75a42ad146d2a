"""Tokens for SASL OAUTHBEARER: from a file that something else renews, or for client id and secret.

kafka-python asks on its IO thread at each login, also when a broker asks to log in again (KIP-368) at 85 %
of a token's life or later: so a token is kept no longer than 80 % of it.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx
from kafka.net.sasl.oauth import AbstractTokenProvider

from kindred.errors import KindredError, Misconfigured, Outage
from kindred.settings import KafkaSettings
from kindred.transport import (
    ServerNames,
    ca_context,
    is_local,
    refuse_plaintext,
    require_file,
    tls_failure,
)

PREFIX = "KINDRED_KAFKA__SASL_OAUTH_"
# The group's heartbeats wait meanwhile, and shall not be missed.
TIMEOUT_SECONDS = 5.0
LIFE_SECONDS = 300.0  # of a token whose answer does not say
KEPT_SHARE = 0.8

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750; nothing that could end the field it is sent in
_PLAIN_WORD = re.compile(r"[a-z_]{1,40}")
_ENDPOINT = ServerNames("The token endpoint", PREFIX, "TOKEN_URL")


def token_provider(settings: KafkaSettings) -> AbstractTokenProvider:
    """Where tokens come from. Raises Misconfigured where a secret would travel in plain text."""
    if settings.sasl_oauth_token_file is not None:
        return TokenFile(settings.sasl_oauth_token_file)
    return ClientCredentials(settings)


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]
    """A file such as Kubernetes' projected service account token."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def token(self) -> str:
        """The file's content. Raises Misconfigured where that is no token."""
        require_file(f"{PREFIX}TOKEN_FILE", self._path)
        return _checked(self._path.read_text(errors="replace").strip(), f"{PREFIX}TOKEN_FILE")


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]
    """RFC 6749, section 4.4: client id and secret for a token, kept while it is fresh."""

    def __init__(self, settings: KafkaSettings) -> None:
        url = settings.sasl_oauth_token_url or ""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
            raise Misconfigured(f"{PREFIX}TOKEN_URL is no https:// address of a token endpoint.")
        if parts.scheme == "http" and not settings.allow_plaintext_secrets:
            refuse_plaintext(
                f"{PREFIX}CLIENT_SECRET", [parts.hostname], f"Use an https:// address in {PREFIX}TOKEN_URL",
                "KINDRED_KAFKA__ALLOW_PLAINTEXT_SECRETS",
            )  # fmt: skip
        self._url = url
        # HTTP_PROXY shall not carry what is meant for this machine, the secret above all.
        self._may_use_proxies = not is_local(parts.hostname)
        self._client = (quote_plus(settings.sasl_oauth_client_id or ""), _secret(settings))
        self._form = {"grant_type": "client_credentials"}
        if settings.sasl_oauth_scope:
            self._form["scope"] = settings.sasl_oauth_scope
        self._verify = ca_context(f"{PREFIX}CAFILE", settings.sasl_oauth_cafile)
        self._token = ""
        self._stale_at_seconds = 0.0

    def token(self) -> str:
        """A fresh one. Raises Outage, or Misconfigured where the endpoint refuses."""
        asked_at_seconds = time.monotonic()
        if asked_at_seconds >= self._stale_at_seconds:
            answer = self._ask()
            self._token = _checked(answer.get("access_token"), f"{PREFIX}TOKEN_URL")
            self._stale_at_seconds = asked_at_seconds + KEPT_SHARE * _life_seconds(answer)
        return self._token

    def _ask(self) -> dict[str, Any]:
        try:
            answer = httpx.post(
                self._url, data=self._form, auth=self._client, timeout=TIMEOUT_SECONDS, verify=self._verify,
                trust_env=self._may_use_proxies,
            )  # fmt: skip
        except httpx.HTTPError as error:
            raise _meaning(error) from error
        if answer.status_code in {400, 401, 403}:
            raise Misconfigured(
                f"The token endpoint refuses this client (HTTP {answer.status_code}{_code(answer)}). Check "
                f"{PREFIX}CLIENT_ID, …CLIENT_SECRET and …SCOPE."
            )
        found = _json(answer) if answer.is_success else None
        if found is None:
            raise Outage("kafka", f"its token endpoint answers HTTP {answer.status_code}, without a token")
        return found


def _secret(settings: KafkaSettings) -> str:
    secret = settings.sasl_oauth_client_secret
    return "" if secret is None else quote_plus(secret.get_secret_value())


def _meaning(error: httpx.HTTPError) -> KindredError:
    failure = tls_failure(error, _ENDPOINT)
    return failure or Outage("kafka", f"its token endpoint does not answer: {type(error).__name__}")


def _json(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        found = answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _code(answer: httpx.Response) -> str:
    """The error code of RFC 6749; nothing else, for an answer may repeat what it was asked."""
    code = (_json(answer) or {}).get("error")
    return f": {code}" if isinstance(code, str) and _PLAIN_WORD.fullmatch(code) else ""


def _life_seconds(answer: dict[str, Any]) -> float:
    life = answer.get("expires_in")
    return float(life) if isinstance(life, (int, float)) else LIFE_SECONDS


def _checked(token: object, setting: str) -> str:
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise Misconfigured(f"{setting} does not lead to a token.")
    return token
