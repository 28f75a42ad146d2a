"""A dead letter's bytes, written so that neither a terminal nor whoever reads it is misled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kindred.commands.output import visible

if TYPE_CHECKING:
    from kindred.history.letters import Letter

KEY_CHARACTERS = 32
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def readable(content: bytes | None) -> dict[str, str] | None:
    """As text where it is text, otherwise as hex."""
    if content is None:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return {"hex": content.hex()}
    return {"hex": content.hex()} if _CONTROL.search(text) else {"text": text}


def as_json_row(letter: Letter, *, with_value: bool = False) -> dict[str, Any]:
    """A letter for programs."""
    record = letter.record
    row = {
        "id": letter.id,
        "kept_at": letter.created_at.isoformat(),
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "record_at": _moment(record.timestamp_ms),
        "reason": letter.reason,
        "detail": letter.detail,
        "key": readable(record.key),
    }
    return row | {"value": readable(record.value)} if with_value else row


def as_table_row(letter: Letter) -> dict[str, str]:
    """A letter on one line of a table."""
    record = letter.record
    return {
        "id": str(letter.id),
        "kept at": f"{letter.created_at:%Y-%m-%d %H:%M}",
        "reason": letter.reason,
        "record": f"{record.topic}[{record.partition}] @{record.offset}",
        "key": _plain(readable(record.key))[:KEY_CHARACTERS],
    }


def lines(letter: Letter) -> Iterator[str]:
    """A letter with its value, a line a fact."""
    for name, value in as_json_row(letter, with_value=True).items():
        yield f"{name}: {_plain(value)}"


def _moment(timestamp_ms: int) -> str:
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat()
    except (ValueError, OverflowError):  # a producer sets what it likes, no calendar holds it
        return f"{timestamp_ms} ms"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return visible(value["text"]) if "text" in value else f"0x{value['hex']}"
    return "-" if value is None else visible(str(value))
