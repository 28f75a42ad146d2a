"""What a log shows of values that would rather be lines, colours or commands of their own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from kindred.logs import configure

HOSTILE = "ann\n2026-11-25 [error] forged\r\x1b[2J\x9b31m\u202e\u2028"
SECRET = "s3cret-of-a-library"


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def fail_with(secret: str) -> None:
    raise ValueError(HOSTILE)


def say_everything() -> None:
    """A line of ours, one of a library, and an exception of each."""
    ours, library = structlog.get_logger(), logging.getLogger("library")
    ours.warning("user_seen", user=HOSTILE, users=[HOSTILE])
    library.warning("seen %s", HOSTILE)
    try:
        fail_with(SECRET)
    except ValueError:
        ours.exception("failed", user=HOSTILE)
        library.exception("failed %s", HOSTILE)


def plain(text: str) -> str:
    """Without the colours that a console line has of its own."""
    for code in ("0", "1", "2", "31", "32", "33", "34", "35", "36"):
        text = text.replace(f"\x1b[{code}m", "")
    return text


def test_a_value_never_begins_a_line_or_commands_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure("console", "info")
    say_everything()
    lines = plain(capsys.readouterr().err).rstrip("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.startswith("2026-11-25 [error] forged")]
    assert len([line for line in lines if not line.startswith((" ", "Traceback"))]) == 4


def test_a_traceback_shows_no_variables(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("console", "json"):
        configure(form, "debug")  # type: ignore[arg-type]
        say_everything()
    assert SECRET not in capsys.readouterr().err


def test_json_has_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    say_everything()
    written = capsys.readouterr().err
    assert written.isascii()
    objects = [json.loads(line) for line in written.splitlines()]
    assert [each["event"] for each in objects] == [
        "user_seen",
        f"seen {HOSTILE}",
        "failed",
        f"failed {HOSTILE}",
    ]
    assert objects[0]["user"] == HOSTILE
    assert "ValueError" in objects[3]["exception"]
