"""Single fields of a parsed event, checked and typed. Each raises Rejected, naming the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kindred.events.json_text import canonical
from kindred.events.rejected import Rejected, shown
from kindred.events.schema import Reason

MAX_ID_BYTES: Final = 256


def identifier(fields: Mapping[str, Any], name: str) -> str:
    """A required id: text of 1 to 256 UTF-8 bytes. JSON integers become their decimal text."""
    value = fields.get(name)
    if type(value) is str:
        return checked_id(value, name)
    if type(value) is int:
        return checked_id(str(value), name)
    raise wrong(value, name, "text or an integer")


def checked_id(value: str, name: str) -> str:
    """`value` itself, if it can be an id."""
    if 0 < len(value) <= MAX_ID_BYTES // 4:  # UTF-8 takes at most 4 bytes a character
        return value
    if not value:
        raise Rejected(Reason.INVALID_ID, f"{name} is empty")
    if len(value.encode()) > MAX_ID_BYTES:
        raise Rejected(Reason.INVALID_ID, f"{name} is longer than {MAX_ID_BYTES} bytes of UTF-8")
    return value


def optional_number(fields: Mapping[str, Any], name: str) -> float | None:
    """A finite number, or None where it is absent or null."""
    value = fields.get(name)
    if value is None or type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    raise wrong(value, name, "a number")


def optional_text(fields: Mapping[str, Any], name: str) -> str | None:
    """Text, or None where it is absent or null."""
    value = fields.get(name)
    if value is None or type(value) is str:
        return value
    raise wrong(value, name, "text")


def optional_object(fields: Mapping[str, Any], name: str) -> str | None:
    """An object as canonical JSON text, or None where it is absent or null."""
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is dict:
        return canonical(value)
    raise wrong(value, name, "an object")


def wrong(value: object, name: str, expected: str) -> Rejected:
    """The rejection of a value that is missing or of another type."""
    if value is None:
        return Rejected(Reason.MISSING_FIELD, f"{name} is missing")
    return Rejected(Reason.WRONG_TYPE, f"{name} must be {expected}, not {shown(value)}")
