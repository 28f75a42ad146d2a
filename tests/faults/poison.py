"""Records that can't be events, each with the reason that its dead letter must carry."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kindred.events.schema import Reason


@dataclass(frozen=True, slots=True)
class Poison:
    """A record of one topic (logical name)."""

    topic: str
    key: bytes | None
    value: bytes | None
    reason: Reason


GOOD = {
    "event_id": "e", "user_id": "nobody", "item_id": "1", "type": "watch",
    "occurred_at": "2026-11-01T00:00:00Z",
}  # fmt: skip


def _interaction(reason: Reason, **changes: Any) -> Poison:
    return _raw(json.dumps(GOOD | changes).encode(), reason)


def _raw(value: bytes | None, reason: Reason) -> Poison:
    return Poison("interactions", b"nobody", value, reason)


def poison(now_ms: int) -> list[Poison]:
    """One of each kind; `now_ms` is when it will be sent, about."""
    return [
        _raw(b"{", Reason.NOT_JSON),
        _raw(b"", Reason.NOT_JSON),
        _raw(None, Reason.NOT_JSON),
        _raw(b"\xff\xfe{}", Reason.INVALID_UTF8),
        _raw(b"[1]", Reason.WRONG_TYPE),
        _raw(b'{"type": "watch", "type": "watch"}', Reason.DUPLICATE_KEY),
        _raw(b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", Reason.TOO_DEEP),
        _interaction(Reason.TOO_LARGE, context={"text": "x" * 70_000}),
        _interaction(Reason.MISSING_FIELD, user_id=None),
        _interaction(Reason.MISSING_FIELD, occurred_at=None),
        _interaction(Reason.WRONG_TYPE, event_id=1.5),
        _interaction(Reason.WRONG_TYPE, context="text"),
        _interaction(Reason.WRONG_TYPE, value="1"),
        _interaction(Reason.INVALID_ID, user_id=""),
        _interaction(Reason.INVALID_ID, user_id="x\0"),
        _interaction(Reason.INVALID_ID, item_id="é" * 129),
        _interaction(Reason.INVALID_TEXT, context={"text": "\0"}),
        _interaction(Reason.INVALID_TEXT, context={"text": "\ud800"}),
        _raw(b'{"type": "watch", "value": 1e400}', Reason.INVALID_NUMBER),
        _raw(b'{"type": "watch", "value": NaN}', Reason.INVALID_NUMBER),
        _interaction(Reason.INVALID_TIME, occurred_at="yesterday"),
        _interaction(Reason.INVALID_TIME, occurred_at=now_ms // 1000),
        _interaction(Reason.TIME_AHEAD, occurred_at=now_ms + 3_600_000),
        _interaction(Reason.TOO_OLD, occurred_at="2001-01-01T00:00:00Z"),
        _interaction(Reason.UNKNOWN_TYPE, type="teleport"),
        Poison("users", b"", None, Reason.INVALID_ID),
        Poison("users", b"\xff", None, Reason.INVALID_UTF8),
        Poison("users", b"x\0", None, Reason.INVALID_ID),
        Poison("users", b"nobody", b'{"user_id": "nobody"}', Reason.MISSING_FIELD),
        Poison("items", b"", None, Reason.INVALID_ID),
        Poison("items", b"1", b'{"item_id": "1", "updated_at": "soon"}', Reason.INVALID_TIME),
    ]
