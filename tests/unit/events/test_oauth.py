"""Tokens for OAUTHBEARER, from an endpoint that really listens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kindred.errors import KindredError, Misconfigured, Outage
from kindred.events import oauth
from kindred.events.oauth import token_provider
from kindred.settings import KafkaSettings
from servers.certificates import Authority
from servers.tls_front import tls_front
from servers.token_endpoint import TokenEndpoint, token_endpoint

SECRET = "s3cret: of%two words+"


@pytest.fixture
def answers() -> list[tuple[int, Any]]:
    """What the endpoint says, one after another; the last one for ever."""
    return [(200, {"access_token": "first", "expires_in": 100}), (200, {"access_token": "second"})]


@pytest.fixture
def endpoint(answers: list[tuple[int, Any]]) -> Iterator[TokenEndpoint]:
    def answer() -> tuple[int, Any]:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    with token_endpoint(("me", SECRET), answer) as listening:
        yield listening


def bearer(**settings: Any) -> KafkaSettings:
    return KafkaSettings(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", **settings)


def client(url: str, secret: str = SECRET, **settings: Any) -> KafkaSettings:
    return bearer(
        sasl_oauth_token_url=url, sasl_oauth_client_id="me", sasl_oauth_client_secret=secret, **settings
    )


def refusal(settings: KafkaSettings) -> str:
    with pytest.raises(Misconfigured) as refused:
        token_provider(settings).token()
    return str(refused.value)


def test_id_and_secret_are_exchanged_for_a_token(endpoint: TokenEndpoint) -> None:
    assert token_provider(client(endpoint.url, sasl_oauth_scope="kafka")).token() == "first"
    assert endpoint.asked == [{"grant_type": "client_credentials", "scope": "kafka"}]


def test_no_proxy_is_told_what_is_meant_for_this_machine(
    endpoint: TokenEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert token_provider(client(endpoint.url)).token() == "first"


def test_a_token_is_kept_while_it_is_fresh(endpoint: TokenEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(oauth.time, "monotonic", lambda: now)
    provider = token_provider(client(endpoint.url))
    assert provider.token() == "first"
    now += 79
    assert provider.token() == "first"
    now += 2  # brokers ask to log in again at 85 % of its life, or later
    assert provider.token() == "second"


def test_over_tls_with_a_ca_of_its_own(endpoint: TokenEndpoint, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with tls_front(endpoint.port, authority.issue("tokens")) as port:
        url = f"https://127.0.0.1:{port}/token"
        assert token_provider(client(url, sasl_oauth_cafile=authority.cafile)).token() == "first"
        assert "KINDRED_KAFKA__SASL_OAUTH_" in refusal(client(url))


def test_a_wrong_secret_is_never_repeated(endpoint: TokenEndpoint) -> None:
    sentence = refusal(client(endpoint.url, secret="wr0ng"))
    assert "HTTP 401: invalid_client" in sentence
    assert "CLIENT_SECRET" in sentence
    assert "wr0ng" not in sentence
    assert SECRET not in sentence


@pytest.mark.parametrize(
    "answer",
    [(500, b"oops"), (503, {}), (200, b"<html>"), (200, b"[]"), (302, {"access_token": "elsewhere"})],
)
def test_answers_without_a_token_are_an_outage(
    endpoint: TokenEndpoint, answers: list[tuple[int, Any]], answer: tuple[int, Any]
) -> None:
    answers[:] = [answer]
    with pytest.raises(Outage, match="token endpoint"):
        token_provider(client(endpoint.url)).token()


@pytest.mark.parametrize("token", [None, "", 7, "two words", "line\nbreak", "\x01auth=Bearer other", "é"])
def test_what_is_no_token_is_never_sent(
    endpoint: TokenEndpoint, answers: list[tuple[int, Any]], token: object
) -> None:
    answers[:] = [(200, {"access_token": token})]
    assert "does not lead to a token" in refusal(client(endpoint.url))


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(Outage, match="does not answer"):
        token_provider(client(url)).token()


@pytest.mark.parametrize(
    "url",
    ["http://tokens.example/x", "ftp://tokens.example", "tokens.example", "https://me:s3cret@tokens.example"],
)
def test_addresses_that_would_give_the_secret_away(url: str) -> None:
    with pytest.raises(KindredError) as refused:
        token_provider(client(url))
    assert "TOKEN_URL" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_plain_text_where_it_is_allowed() -> None:
    assert token_provider(client("http://tokens.example/x", allow_plaintext_secrets=True))


def test_a_file_is_read_again_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    provider = token_provider(bearer(sasl_oauth_token_file=file))
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        assert provider.token() == token


def test_a_file_without_a_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    settings = bearer(sasl_oauth_token_file=file)
    assert str(file) in refusal(settings)
    file.write_bytes(b"\xff\xfe")
    assert "SASL_OAUTH_TOKEN_FILE" in refusal(settings)
