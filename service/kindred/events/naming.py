"""Does a record that is no event name a user? Asked when the user is erased.

A record that says whose it is (`"user_id": …`, readable even where the JSON is cut off) names that user and
nobody else. Any other names whoever's id stands in it as a word of its own: better one letter too many.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

Spelled = Mapping[str, Sequence[bytes]]  # users, each with the spellings of the id

_USER_ID = re.compile(rb'"user_id"\s*:\s*("(?:[^"\\]|\\.)*+"|-?\d+)')
_WORD = rb"[\w.@\x80-\xff-]"
ESCAPE = rb"\u"  # any character may be written so in JSON


def spellings(user_id: str) -> list[bytes]:
    """The id as it may stand in a record: plain, and as JSON text with and without escapes."""
    plain = user_id.encode(errors="surrogatepass")
    escaped, readable = json.dumps(user_id)[1:-1], json.dumps(user_id, ensure_ascii=False)[1:-1]
    return sorted({plain, escaped.encode(), readable.encode(errors="surrogatepass")})


def named_users(key: bytes, value: bytes, spelled: Spelled, is_item: bool = False) -> list[str]:
    """Which of these users a record names, by its key or in its value.

    An item's key is an item's id, and its value full of words and numbers that are no users: there only what
    speaks of a `"user_id"` counts.
    """
    if said := [_text(token) for token in _USER_ID.findall(value)]:
        found = spelled.keys() & set(said)
    elif is_item and b'"user_id"' not in value:
        found = set()
    else:
        found = {user_id for user_id, several in spelled.items() if _is_mentioned(several, value)}
    if not is_item:
        keys = {key, key.removeprefix(b'"').removesuffix(b'"')}
        found |= {user_id for user_id, several in spelled.items() if not keys.isdisjoint(several)}
    return sorted(found)


def _is_mentioned(several: Sequence[bytes], value: bytes) -> bool:
    return any(each in value and _mention(each).search(value) for each in several)


def _text(token: bytes) -> str:
    try:
        return str(json.loads(token.decode(errors="replace")))
    except ValueError:  # an escape that is none, or thousands of digits
        return ""


def _mention(spelling: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?<!" + _WORD + rb")" + re.escape(spelling) + rb"(?!" + _WORD + rb")")
