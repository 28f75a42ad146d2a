"""What must not travel in the clear, and what a failed TLS handshake says."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kindred.errors import Misconfigured

# From x509_vfy.h; Python's ssl has no names for them.
_EXPIRED = 10
_OTHER_NAME = frozenset({62, 64})

_NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
)
# Cut off rather than refused: by a server that stops, or a network that fails.
_CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


@dataclass(frozen=True, slots=True)
class ServerNames:
    """A server as its settings call it: KINDRED_KAFKA__ and its setting for the address."""

    name: str
    prefix: str
    address: str


def is_local(host: str) -> bool:
    """Whether nothing leaves this machine on the way there: loopback, or the folder of a Unix socket."""
    host = host.strip("[]").rstrip(".").lower()
    if not host or host[0] in "/@" or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_plaintext(secret: str, hosts: Iterable[str], instead: str, allowed_by: str) -> None:
    """Raises Misconfigured where one of the hosts is another machine; `secret` is what would be sent."""
    away = next((host for host in hosts if not is_local(host)), None)
    if away is not None:
        raise Misconfigured(
            f"{secret} would travel to {away} in plain text. {instead}, or, where the network itself is "
            f"trusted, set {allowed_by}=true."
        )


def require_file(setting: str, path: Path | None) -> None:
    """Raises Misconfigured, which names the setting, unless the file is there and may be read."""
    if path is None:
        return
    try:
        path.open("rb").close()
    except OSError as error:
        raise Misconfigured(f"{setting}: {path} cannot be read ({error.strerror}).") from None


def ca_context(setting: str, cafile: Path | None) -> ssl.SSLContext | Literal[True]:
    """For httpx: trust this CA alone, or those that it trusts by itself."""
    if cafile is None:
        return True
    require_file(setting, cafile)
    try:
        return ssl.create_default_context(cafile=str(cafile))
    except ssl.SSLError:
        raise Misconfigured(f"{setting}: {cafile} holds no certificate in PEM form.") from None


def tls_failure(error: BaseException, server: ServerNames) -> Misconfigured | None:
    """What a person must change, where TLS was refused on either side; None for any other failure."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _CUT_OFF):
            return Misconfigured(f"{server.name}: {_refusal(cause, server)}")
    return None


def _refusal(error: ssl.SSLError, server: ServerNames) -> str:
    address = f"{server.prefix}{server.address}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, address, f"{server.prefix}SSL_CAFILE")
    reason = error.reason or str(error)
    if reason in _NO_TLS:
        return f"it answers, but not in TLS ({reason}). Check {address}, and whether this port is encrypted."
    if "ALERT" in reason:
        return (
            f"it refuses the TLS connection ({reason}). Does it want a certificate of this client, or "
            f"another one? Check {server.prefix}SSL_CERTFILE and {server.prefix}SSL_KEYFILE."
        )
    return f"no TLS connection ({reason}). Check {server.prefix}SSL_CAFILE, …SSL_CERTFILE and …SSL_KEYFILE."


def _untrusted(error: ssl.SSLCertVerificationError, address: str, cafile: str) -> str:
    if error.verify_code in _OTHER_NAME:
        return f"its certificate is for another host ({error.verify_message}) Check {address}."
    if error.verify_code == _EXPIRED:
        return "its certificate has expired. Renew it on the server; nothing has to be changed here."
    return f"its certificate is not trusted ({error.verify_message}). Check {cafile}."


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what lies behind it; kafka-python puts causes into the arguments, too."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [*cause.args, cause.__cause__, cause.__context__]
