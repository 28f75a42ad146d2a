"""One way to connect to Qdrant, and one place that says what its errors mean."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from kindred.errors import CollectionGone, KindredError, Misconfigured, Outage
from kindred.settings import QdrantSettings
from kindred.transport import ServerNames, ca_context, is_local, refuse_plaintext, tls_failure

_SERVER = ServerNames("Qdrant", "KINDRED_QDRANT__", "URL")
_TRANSIENT = frozenset({408, 423, 429})
_HEADER_VALUE = re.compile(r"[!-~]+")


def connect(settings: QdrantSettings) -> QdrantClient:
    """A REST client; nothing is sent yet, so this succeeds while Qdrant is down.

    Raises Misconfigured for an address, key or CA file that is none, and where the key would travel in
    plain text.
    """
    place = host(settings)
    key = _key(settings, place)
    return QdrantClient(
        url=settings.url,
        # Not as `api_key`, for which the client warns on a loopback address, too.
        headers={} if key is None else {"api-key": key},
        # The client takes whole seconds and rounds up itself, but is typed as int.
        timeout=max(1, round(settings.timeout_seconds)),
        # The check runs in a thread that only prints a warning; `kindred doctor` checks the version.
        check_compatibility=False,
        verify=_tls(settings),
        # HTTP_PROXY shall not carry what is meant for this machine, the key above all.
        trust_env=not is_local(place),
    )


def _tls(settings: QdrantSettings) -> ssl.SSLContext | bool:
    settings.require_files("KINDRED_QDRANT__")
    trusted = ca_context("KINDRED_QDRANT__SSL_CAFILE", settings.ssl_cafile)
    if settings.ssl_certfile is None:
        return trusted
    context = httpx.create_ssl_context() if trusted is True else trusted
    try:
        context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, settings.key_password)
    except ssl.SSLError:
        raise Misconfigured(
            "KINDRED_QDRANT__SSL_CERTFILE and its key do not go together, or cannot be opened: check "
            "KINDRED_QDRANT__SSL_KEYFILE and …SSL_KEY_PASSWORD."
        ) from None
    return context


def host(settings: QdrantSettings) -> str:
    """Of its URL. Raises Misconfigured where that is none."""
    try:
        url = urlsplit(settings.url)
        found, _ = url.hostname, url.port
    except ValueError:
        found = None
    if not found or url.scheme not in {"http", "https"}:
        raise Misconfigured("KINDRED_QDRANT__URL is no URL: http://host:6333, or https://.")
    if url.username is not None or url.password is not None:
        raise Misconfigured("KINDRED_QDRANT__URL holds a login, which Qdrant has none: see …QDRANT__API_KEY.")
    return found


def _key(settings: QdrantSettings, place: str) -> str | None:
    if settings.api_key is None:
        return None
    key = settings.api_key.get_secret_value()
    if not _HEADER_VALUE.fullmatch(key):  # httpx would quote it in its error
        raise Misconfigured(
            "KINDRED_QDRANT__API_KEY cannot be sent: it is empty, or holds a space, a line break or a "
            "character beyond ASCII."
        )
    if not (settings.allow_plaintext_secrets or settings.is_encrypted):
        refuse_plaintext(
            "KINDRED_QDRANT__API_KEY", [place], "Use an https:// address in KINDRED_QDRANT__URL",
            "KINDRED_QDRANT__ALLOW_PLAINTEXT_SECRETS",
        )  # fmt: skip
    return key


class TooSlow(Outage):
    """Qdrant was there, and had not answered in time."""


@contextmanager
def translated_errors(missing: KindredError | None = None) -> Iterator[None]:
    """Raise Kindred's errors for the client's: Outage, CollectionGone or Misconfigured.

    `missing` is raised instead where Qdrant says that a point is missing, or has no vector.
    """
    try:
        yield
    except ResourceExhaustedResponse as error:
        raise Outage("qdrant", f"HTTP 429: {error}", retry_after_seconds=error.retry_after_s) from error
    except QdrantException as error:  # a Retry-After that is no number
        raise Outage("qdrant", f"HTTP 429: {error}") from error
    except json.JSONDecodeError as error:
        raise Outage("qdrant", f"what answers there speaks no JSON: {error.doc[:100]!r}") from error
    except ResponseHandlingException as error:
        raise _transport_error(error.source) from error
    except UnexpectedResponse as error:
        raise _status_error(error, missing) from error


def _transport_error(source: Exception) -> KindredError:
    if failure := tls_failure(source, _SERVER):
        return failure
    if isinstance(source, httpx.TransportError) and not isinstance(source, httpx.UnsupportedProtocol):
        kind = TooSlow if isinstance(source, httpx.ReadTimeout | httpx.WriteTimeout) else Outage
        return kind("qdrant", f"{type(source).__name__}: {source}")
    return Misconfigured(f"KINDRED_QDRANT__URL does not lead to a Qdrant server of a known version: {source}")


def _status_error(error: UnexpectedResponse, missing: KindredError | None) -> KindredError:
    status, reason = error.status_code or 0, _reason(error)
    if status >= 500 or status in _TRANSIENT:
        return Outage("qdrant", f"HTTP {status}: {reason}")
    if status in {401, 403}:
        return Misconfigured(f"Qdrant refuses the key in KINDRED_QDRANT__API_KEY (HTTP {status}: {reason}).")
    if status == 404 and "ollection" in reason:
        return CollectionGone(
            f"{reason} Restore it from a snapshot; or start a worker again, which makes it anew, and fill it "
            "with `kindred verify --repair`."
        )
    if status == 404 and missing is not None:
        return missing
    return Misconfigured(f"Qdrant refuses the request (HTTP {status}): {reason}")


def _reason(error: UnexpectedResponse) -> str:
    """Qdrant's own sentence, `{"status": {"error": …}}`; the raw body where a proxy answered instead."""
    try:
        return str(json.loads(error.content)["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return error.content[:300].decode(errors="replace") or error.reason_phrase
