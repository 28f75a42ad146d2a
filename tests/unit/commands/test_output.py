"""What commands print: nothing that came in a record is a command to the terminal, or markup."""

from __future__ import annotations

import json

import pytest

from kindred.commands.output import explained, fail, print_json, print_rows
from kindred.errors import Outage

OBEYED = "\x1b[2J \x1b]8;;http://x\x1b\\\\ \x9b31m \u202edrow \x7f \ud800 \u2028 [bold red]Ö[/] [link=x]y[/]"


def printed(text: str) -> str:
    assert all(character.isprintable() or character == "\n" for character in text)
    return text


def test_a_table_shows_values_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(f"Items for {OBEYED}", [{"title": OBEYED, "genres": [OBEYED, "Drama"], "id": "a\nb"}])
    text = printed(capsys.readouterr().out)
    assert "\\x1b[2J" in text
    assert "\\nb" in text


def test_markup_in_a_value_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("", [{"title": "[bold]Alien[/]"}])
    assert "[bold]Alien[/]" in capsys.readouterr().out


def test_json_holds_the_same_values_without_their_power(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"profile": OBEYED, "ö": "日本"})
    text = printed(capsys.readouterr().out)
    assert json.loads(text) == {"profile": OBEYED, "ö": "日本"}
    assert "日本" in text


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fail(f"Nobody has seen user {OBEYED}\nerror: all is well")
    assert printed(capsys.readouterr().err).count("\n") == 1


def test_a_server_that_is_busy_is_not_asked_about_its_address() -> None:
    busy = Outage("postgres", "canceling statement due to lock timeout", is_busy=True)
    assert explained(busy) == (
        "Postgres could not do this now (canceling statement due to lock timeout). Run it again."
    )
    assert "is KINDRED_POSTGRES__URL right?" in explained(Outage("postgres", "connection refused"))
