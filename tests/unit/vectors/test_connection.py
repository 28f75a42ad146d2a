"""What an answer of Qdrant means for a worker."""

from __future__ import annotations

import httpx
import pytest
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from kindred.errors import CollectionGone, KindredError, Misconfigured, Outage, UnknownUser
from kindred.vectors.connection import translated_errors


def translation(error: Exception, missing: KindredError | None = None) -> KindredError:
    with pytest.raises(KindredError) as raised, translated_errors(missing):
        raise error
    return raised.value


def answer(status: int, content: bytes = b'{"status": {"error": "because"}}') -> UnexpectedResponse:
    return UnexpectedResponse(status, "phrase", content, httpx.Headers())


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_overloaded_server_is_an_outage(status: int) -> None:
    assert str(translation(answer(status))) == f"qdrant: HTTP {status}: because"


@pytest.mark.parametrize(
    "error",
    [
        ResourceExhaustedResponse("too many", 3),
        ResponseHandlingException(httpx.ConnectError("refused")),
        ResponseHandlingException(httpx.ReadTimeout("slow")),
        ResponseHandlingException(httpx.RemoteProtocolError("cut off")),
    ],
)
def test_an_unreachable_server_is_an_outage(error: Exception) -> None:
    assert isinstance(translation(error), Outage)


def test_a_wrong_key_names_its_setting() -> None:
    assert "KINDRED_QDRANT__API_KEY" in str(translation(answer(401)))
    assert type(translation(answer(403))) is Misconfigured


def test_a_wrong_address_names_its_setting() -> None:
    error = ResponseHandlingException(httpx.UnsupportedProtocol("ftp"))
    assert "KINDRED_QDRANT__URL" in str(translation(error))


def test_a_missing_collection_is_gone_whatever_else_is_asked() -> None:
    gone = answer(404, b'{"status": {"error": "Not found: Collection `users` doesn\'t exist!"}}')
    assert isinstance(translation(gone, UnknownUser("ada")), CollectionGone)


def test_a_missing_point_is_what_the_caller_says() -> None:
    missing = answer(404, b'{"status": {"error": "Not found: No point with id 5 found"}}')
    assert isinstance(translation(missing, UnknownUser("ada")), UnknownUser)
    assert type(translation(missing)) is Misconfigured


def test_any_other_refusal_carries_the_servers_sentence() -> None:
    assert "because" in str(translation(answer(400)))
    assert "<html>" in str(translation(answer(413, b"<html>")))
