"""Text that may be shown: without secrets, and without what a terminal would obey instead of showing."""

from __future__ import annotations

import re

MASK = "***"

# Up to the last @: a password that nobody encoded may hold @ and / itself.
_IN_AUTHORITY = re.compile(r"(://[^:/?#]*:).+(?=@)", re.DOTALL)
_URL_PARAMETER = re.compile(r"([\w%.-]+)(=)([^&]+)")
# Of a URL's parameters all others are masked: one that is misspelt may be a password.
_SHOWN_PARAMETER = re.compile(
    "ssl(mode|rootcert|cert|key|crl|sni|negotiation)|host(addr)?|port|user|dbname|application_name|options|"
    "connect_timeout|target_session_attrs|load_balance_hosts|channel_binding|require_auth|keepalives.*"
)
# libpq's `key = 'va\'lue'`
_WORD = re.compile(r"(\w+)(\s*=\s*)('(?:\\.|[^'\\])*'?|(?:\\.|\S)+)", re.DOTALL)
_SECRET_KEY = re.compile(r"pass|pwd|secret|token|api.?key", re.IGNORECASE)


def masked(text: str) -> str:
    """The same address or connection string with each password and key in it masked."""
    text = _IN_AUTHORITY.sub(rf"\1{MASK}", text)
    if "://" in text:
        return _URL_PARAMETER.sub(_mask_unless_known, text)
    return _WORD.sub(_mask_if_secret, text)


def _mask_unless_known(found: re.Match[str]) -> str:
    return found[0] if _SHOWN_PARAMETER.fullmatch(found[1]) else f"{found[1]}={MASK}"


def _mask_if_secret(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{MASK}" if _SECRET_KEY.search(found[1]) else found[0]


def visible(text: str) -> str:
    """On one line; what a terminal would not show as a character of its own, as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def visible_lines(text: str) -> str:
    """The same for a traceback: each line stays one, and all but the first are indented."""
    return "\n    ".join(visible(line) for line in text.split("\n"))
