"""Does a record that is no event name a user? Asked when the user is erased.

A record that says whose it is (`"user_id": …`, readable even where the JSON is cut off) names that user and
nobody else. Any other names whoever's id stands in it as a word of its own: better one letter too many.
"""

from __future__ import annotations

import json
import re

_USER_ID = re.compile(rb'"user_id"\s*:\s*("(?:[^"\\]|\\.)*+"|-?\d+)')
_WORD = rb"[\w.@\x80-\xff-]"
ESCAPE = rb"\u"  # any character may be written so in JSON


def spellings(user_id: str) -> list[bytes]:
    """The id as it may stand in a record: plain, and as JSON text with and without escapes."""
    plain = user_id.encode(errors="surrogatepass")
    escaped, readable = json.dumps(user_id)[1:-1], json.dumps(user_id, ensure_ascii=False)[1:-1]
    return sorted({plain, escaped.encode(), readable.encode(errors="surrogatepass")})


def names_user(key: bytes | None, value: bytes | None, user_id: str) -> bool:
    """Whether the key is the user's id, or the value names the user."""
    return _is_key_of(key or b"", user_id) or value_names_user(value or b"", user_id)


def value_names_user(value: bytes, user_id: str) -> bool:
    """The same for the value alone, as of an item, whose key names no user."""
    if named := [_text(token) for token in _USER_ID.findall(value)]:
        return user_id in named
    return any(_mention(each).search(value) for each in spellings(user_id))


def _is_key_of(key: bytes, user_id: str) -> bool:
    as_json = key.removeprefix(b'"').removesuffix(b'"')
    return not {key, as_json}.isdisjoint(spellings(user_id))


def _text(token: bytes) -> str:
    try:
        return str(json.loads(token.decode(errors="replace")))
    except ValueError:  # an escape that is none, or thousands of digits
        return ""


def _mention(spelling: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?<!" + _WORD + rb")" + re.escape(spelling) + rb"(?!" + _WORD + rb")")
