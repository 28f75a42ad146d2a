"""Where fuzzing begins: inputs of each target that are right, or nearly so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fuzz.checkpoints import Checkpoint
from fuzz.records import HAS_KEY, HAS_TIME, IS_TOMBSTONE, NOW_MS
from kindred.embedding import checkpoint
from kindred.embedding.manifest import ANCHOR_IDS, ANCHOR_VECTORS, VOCABULARY, WEIGHTS

FOUND = Path(__file__).parent / "found"  # inputs that once broke a promise, a folder a target

_INTERACTION = {
    "event_id": "e1", "user_id": "u1", "item_id": "i1", "type": "watch", "occurred_at": NOW_MS, "value": 1.5,
    "context": {"page": "home", "slots": [1, None, True]},
}  # fmt: skip
_PROFILE = {"user_id": "u1", "updated_at": "2026-01-01T00:00:00.5+01:00", "country": "SE", "tags": ["x", 7]}
_ITEM = {
    "item_id": "i1", "updated_at": NOW_MS, "title": "Alien é😀", "genres": ["Drama"], "studio": "A",
    "year": "1979", "plot": [0.5, -1e30], "price": 10**30,
}  # fmt: skip
_TIMES = [
    "2026-01-01T00:00:00Z", "1985-04-12T23:20:50.52-08:00", "1990-12-31T23:59:60Z", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999+00:01", "2024-02-29t12:00:00z", "2026-01-01 00:00:00+24:00",
]  # fmt: skip


def seeds(target: str, folder: Path) -> list[bytes]:
    """Inputs to begin with, those that did harm once among them."""
    found = sorted((FOUND / target).glob("*")) if (FOUND / target).is_dir() else []
    return [*_BY_TARGET[target](folder), b"", *(path.read_bytes() for path in found)]


def _values(*events: dict[str, Any]) -> list[bytes]:
    texts = [json.dumps(event, ensure_ascii=escaped) for event in events for escaped in (True, False)]
    flags = bytes([HAS_KEY | HAS_TIME]) + NOW_MS.to_bytes(8, "big") + b"\x02u1"
    return [start + text.encode() for text in texts for start in (b"\0", flags)]


def _tombstones() -> list[bytes]:
    return [bytes([HAS_KEY | IS_TOMBSTONE]) + b"\x02u1", bytes([IS_TOMBSTONE])]


def _json() -> list[bytes]:
    odd = [
        b'{"a":1,"a":2}',
        b'{"a":' + b"[" * 30 + b"]" * 30 + b"}",
        b'{"\\u0061":-0.0,"b":1E5}',
        b"[1]",
        b'"x"',
    ]
    return [json.dumps(event).encode() for event in (_INTERACTION, _PROFILE, _ITEM)] + odd


def _weights(folder: Path) -> list[bytes]:
    content = _sound(folder)[WEIGHTS]
    return [b"\1" + content, b"\0" + content[8 : 8 + int.from_bytes(content[:8], "little")]]


def _anchor(folder: Path) -> list[bytes]:
    files = _sound(folder)
    return [b"\0" + files[ANCHOR_IDS], b"\1" + files[ANCHOR_VECTORS]]


def _sound(folder: Path) -> dict[str, bytes]:
    return Checkpoint(folder / "model").files


_BY_TARGET = {
    "interactions": lambda _: _values(
        _INTERACTION, _INTERACTION | {"occurred_at": _TIMES[0], "context": None}
    ),
    "users": lambda _: _values(_PROFILE) + _tombstones(),
    "items": lambda _: _values(_ITEM) + _tombstones(),
    "json": lambda _: _json(),
    "times": lambda _: [text.encode() for text in _TIMES] + [NOW_MS.to_bytes(12, "big")],
    "manifest": lambda folder: [_sound(folder)[checkpoint.MANIFEST]],
    "vocabulary": lambda folder: [_sound(folder)[VOCABULARY]],
    "weights": _weights,
    "anchor": _anchor,
}
