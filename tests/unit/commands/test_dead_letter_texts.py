"""What an operator sees of a dead letter's bytes, and how durations are written."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kindred.commands.dead_letters import duration
from kindred.commands.letter_texts import readable
from kindred.errors import Misconfigured


def test_text_is_shown_as_text_and_bytes_as_hex() -> None:
    assert readable(None) is None
    assert readable('{"a":\n\t"é😀"}'.encode()) == {"text": '{"a":\n\t"é😀"}'}
    assert readable(b"\xff\x00") == {"hex": "ff00"}
    assert readable(b"\x1b[2J") == {"hex": "1b5b324a"}
    assert readable(b"") == {"text": ""}


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7_200), ("7d", 604_800), ("0s", 0)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1w", "٣d", "7d\n", "9999999d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(Misconfigured, match="90s, 15m, 2h or 7d"):
        duration(text)
