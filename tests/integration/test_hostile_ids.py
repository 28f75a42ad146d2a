"""Ids and attributes that would rather be SQL, markup, lines or commands, through the whole chain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from chain import Chain, chain
from kindred.cli import app
from kindred.client import KindredClient
from kindred.commands import output
from kindred.commands.output import fail
from kindred.errors import UnknownUser
from running import T0_MS, environment, rows
from truth import assert_exact

HOSTILE = [
    "'; DROP TABLE app_user CASCADE; --",
    'a"b\\c`d',
    "$$ %s %(user)s {} {0} $1 :x",
    "%_\\",
    "[bold red]x[/] [link=file:///etc/passwd]y[/link] [/]",
    "ann\nerror forged",
    "\r\n\t\x0b\x0c",
    "\x1b[2J\x1b]0;owned\x07\x9b31m\x7f",
    "\u202eresu\u202c\u200f\u2028\ufeff",
    "👩‍🚀🏳️‍🌈",
    "é" * 128,  # 256 bytes
    "é",
    "e\u0301",  # the same to a reader
    "١٢٣",
    "１２",
    "007",
    "9007199254740993",  # too large for JavaScript
    "7\n",
    " 7",
    "00000000-0000-0000-0000-000000000000",
    "../../etc/passwd",
    '{"user_id": "ann"}',
    "=1+1",
    "--help",
    "null",
]
# For what takes long: SQL, markup, a line, commands to a terminal, an option.
WORST = [HOSTILE[0], HOSTILE[4], HOSTILE[5], HOSTILE[7], "--help"]
PROFILES = "SELECT user_id, profile->>'country' FROM app_user"
ITEMS = "SELECT item_id, title, attributes->'genres'->>0 FROM item"


def event(user: str, item: str, number: int = 0) -> dict[str, Any]:
    """The user's name is the event's, too."""
    return {
        "event_id": user, "user_id": user, "item_id": item, "type": "watch",
        "occurred_at": T0_MS + number, "context": {user: item},
    }  # fmt: skip


def item(name: str) -> dict[str, Any]:
    return {"item_id": name, "updated_at": T0_MS, "title": name, "genres": [name], "actors": [name]}


def profile(name: str) -> dict[str, Any]:
    return {"user_id": name, "updated_at": T0_MS, "country": name, "age_group": name}


EVENTS = [event(user, HOSTILE[place - 1], place) for place, user in enumerate(HOSTILE)]


@pytest.fixture(scope="module")
def kindred(postgres_url: str, qdrant_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Where everybody and everything has such a name."""
    with chain(postgres_url, qdrant_url, tmp_path_factory.mktemp("hostile")) as chained:
        send(chained, HOSTILE)
        yield chained


def send(kindred: Chain, names: Sequence[str]) -> None:
    events = [event(user, names[place - 1], place) for place, user in enumerate(names)]
    kindred.sync(
        *(kindred.record("items", name, item(name)) for name in names),
        *(kindred.record("users", name, profile(name)) for name in names),
        *(kindred.record("interactions", each["user_id"], each) for each in events),
    )


@pytest.fixture
def client(kindred: Chain) -> KindredClient:
    return KindredClient(client=kindred.servers.qdrant, namespace=kindred.settings.namespace)


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A console takes its width from COLUMNS once, when it is imported."""
    monkeypatch.setattr(output.console, "_width", 300)


def said(kindred: Chain, *arguments: str, exit_code: int = 0) -> str:
    """What a command prints, on both streams; every line of it can be printed."""
    result = CliRunner().invoke(app, [*arguments], env=environment(kindred.settings))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    assert [line for line in result.output.split("\n") if not line.isprintable()] == []
    return result.output


def test_everything_arrives_as_it_was_sent(kindred: Chain) -> None:
    assert rows(kindred.settings, "SELECT count(*) FROM dead_letter") == [(0,)]
    assert_exact(kindred.settings, EVENTS)
    assert dict(rows(kindred.settings, PROFILES)) == {name: name for name in HOSTILE}
    assert sorted(rows(kindred.settings, ITEMS)) == sorted((name, name, name) for name in HOSTILE)
    users = kindred.points.retrieve(kindred.model, "user", HOSTILE)
    assert {name: point.payload["country"] for name, point in users.items()} == {n: n for n in HOSTILE}


def test_questions_find_exactly_whom_they_name(kindred: Chain, client: KindredClient) -> None:
    everything = set(HOSTILE)
    for number, name in enumerate(HOSTILE):
        seen = HOSTILE[number - 1]
        assert {match.id for match in client.recommend(name, limit=100)} == everything - {seen}
        assert {match.id for match in client.similar(name, limit=100)} == everything - {name}
        assert {match.id for match in client.similar_items(name, limit=100)} == everything - {name}
        assert {match.id for match in client.audience(name, limit=100)} <= everything


def test_a_filter_takes_a_value_as_it_is(kindred: Chain, client: KindredClient) -> None:
    for name in HOSTILE:
        found = client.recommend("nobody", filter={"genres": name})
        assert [match.id for match in found] == [name]


@pytest.mark.parametrize("command", ["history", "recommend", "similar", "similar-items", "audience"])
def test_no_command_lets_an_id_speak_for_itself(kindred: Chain, command: str) -> None:
    for name in WORST:
        assert said(kindred, command, "--", name)


def test_a_table_shows_ids_as_they_are(kindred: Chain) -> None:
    shown = said(kindred, "similar", "--limit", "100", "--", "007")
    for name in (
        "[bold red]x[/] [link=file:///etc/passwd]y[/link] [/]",
        r"ann\nerror forged",
        r"7\n",
        "=1+1",
    ):
        assert any(line.startswith(f" {name} ") for line in shown.split("\n")), shown


def test_json_gives_ids_back_exactly(kindred: Chain) -> None:
    answer = json.loads(said(kindred, "similar", "--json", "--limit", "100", "--", "007"))
    assert {match["id"] for match in answer["matches"]} == set(HOSTILE) - {"007"}


def test_unknown_ids_are_quoted_on_one_line(kindred: Chain) -> None:
    for name in ("nobody\nerror forged", "\x1b[2J", "[bold]x"):
        result = CliRunner().invoke(app, ["history", "--", name], env=environment(kindred.settings))
        assert isinstance(result.exception, UnknownUser)  # what `main` prints with `fail`
        with pytest.raises(SystemExit):
            fail(str(result.exception))


def test_dead_letters_are_shown_and_not_obeyed(kindred: Chain) -> None:
    for name in [*WORST, "nul\x00", "lone \ud800"]:
        key = name.encode(errors="replace").decode()
        kindred.send("interactions", key, event(name, "3") | {"type": name})
    letters = json.loads(said(kindred, "dead-letters", "list", "--json", "--limit", "1000"))["letters"]
    assert len(letters) == len(WORST) + 2
    assert said(kindred, "dead-letters", "list")
    for letter in letters:
        lines = said(kindred, "dead-letters", "show", str(letter["id"])).strip().split("\n")
        assert len(lines) == 10, lines


@given(st.lists(st.text(min_size=1, max_size=40), min_size=2, max_size=8, unique=True))
@example_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_an_id_or_a_dead_letter(kindred: Chain, names: list[str]) -> None:
    """Nothing but NUL is refused; what is not, is found under exactly its own name."""
    kindred.sync(*(kindred.record("interactions", None, event(name, name)) for name in names))
    good = [name for name in names if "\x00" not in name]
    points = kindred.points.retrieve(kindred.model, "user", names)
    assert {name: point.payload["user_id"] for name, point in points.items()} == {n: n for n in good}
    logged = rows(kindred.settings, "SELECT user_id FROM interaction WHERE event_id = ANY(%s)", good)
    assert sorted({user for (user,) in logged}) == sorted(good)


def test_each_is_erased_and_nobody_else(kindred: Chain) -> None:
    left = set(HOSTILE)
    for name in WORST[:4]:
        proof = json.loads(said(kindred, "erase", "--yes", "--json", "--", name))
        left.remove(name)
        assert proof["deleted"]["interactions"] == 1
        alive = rows(kindred.settings, "SELECT user_id FROM app_user WHERE erased_at IS NULL")
        assert {user for (user,) in alive} & set(HOSTILE) == left
    assert "is erased" in said(kindred, "erase", "--yes", "--", WORST[2])
