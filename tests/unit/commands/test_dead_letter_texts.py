"""What an operator sees of a dead letter's bytes, and how durations are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kindred.commands.dead_letters import duration
from kindred.commands.letter_texts import as_json_row, as_table_row, lines, readable
from kindred.errors import Misconfigured
from kindred.events.schema import Record
from kindred.history.letters import Letter

# What terminals obey: clear the screen, a title, an 8-bit control sequence, right to left, new lines.
OBEYED = "\x1b[2J \x1b]0;owned\x07 \x9b31m \u202edrow \r\nerror all is well [bold]not[/]"


def letter(key: bytes | None, value: bytes | None, detail: str = "", timestamp_ms: int = 0) -> Letter:
    record = Record("interactions", 0, 7, timestamp_ms, key, value)
    return Letter(1, record, "not_json", detail, datetime(2026, 11, 25, tzinfo=UTC))


def test_text_is_shown_as_text_and_bytes_as_hex() -> None:
    assert readable(None) is None
    assert readable('{"a":\n\t"é😀"}'.encode()) == {"text": '{"a":\n\t"é😀"}'}
    assert readable(b"\xff\x00") == {"hex": "ff00"}
    assert readable(b"\x1b[2J") == {"hex": "1b5b324a"}
    assert readable(b"") == {"text": ""}


def test_nothing_in_a_letter_reaches_the_terminal_as_a_command() -> None:
    """Postgres' own words for a value it refuses repeat that value in `detail`."""
    for content in (OBEYED.encode(), OBEYED.replace("\x1b", "").replace("\x07", "").encode()):
        shown = [*lines(letter(content, content, OBEYED)), *as_table_row(letter(content, content)).values()]
        assert all(line.isprintable() for line in shown)


def test_a_letter_is_one_line_a_fact_however_it_tries() -> None:
    assert len([*lines(letter(b"k", b"one\ntwo\rthree", "a\nb"))]) == 10


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 10**15, 2**62, -(2**62)])
def test_a_time_that_no_calendar_holds_is_shown_as_it_is(timestamp_ms: int) -> None:
    shown = as_json_row(letter(None, None, timestamp_ms=timestamp_ms))["record_at"]
    assert shown.startswith(("1969", "1970")) or shown == f"{timestamp_ms} ms"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7_200), ("7d", 604_800), ("0s", 0)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1w", "٣d", "7d\n", "9999999d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(Misconfigured, match="90s, 15m, 2h or 7d"):
        duration(text)
