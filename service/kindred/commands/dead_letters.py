"""`kindred dead-letters`: look at what could not be an event, replay it, or let it go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated

import typer

from kindred.commands.letter_texts import as_json_row, as_table_row, lines
from kindred.commands.output import AsJson, console, print_json, print_rows
from kindred.errors import Misconfigured
from kindred.settings import load_settings

if TYPE_CHECKING:
    from kindred.composition import Servers
    from kindred.history.letters import Filter

ReasonOption = Annotated[str | None, typer.Option(help="docs/events.md lists the reasons.")]
TopicOption = Annotated[str | None, typer.Option(help="The topic's physical name.")]
OlderThan = Annotated[str | None, typer.Option(help="Kept longer ago than: 90s, 15m, 2h or 7d.")]
NewerThan = Annotated[str | None, typer.Option(help="Kept within the last: 90s, 15m, 2h or 7d.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would become of them; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

PURGED_AT_ONCE = 5_000
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    letters = typer.Typer(help="Records that could not be events.", no_args_is_help=True)
    letters.command("list")(list_letters)
    letters.command()(show)
    letters.command()(replay)
    letters.command()(purge)
    app.add_typer(letters, name="dead-letters")


def list_letters(
    reason: ReasonOption = None,
    topic: TopicOption = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """The oldest letters that match, without their values."""
    from kindred.history import letters

    wanted = _filter(reason, topic, older_than, newer_than)
    with _servers() as servers:
        matching = chain.from_iterable(letters.slices(servers.database, wanted))
        rows = [(as_json_row if as_json else as_table_row)(each) for each in islice(matching, limit)]
        total = sum(letters.count(servers.database, wanted).values())
    if as_json:
        return print_json({"total": total, "letters": rows})
    return print_rows(f"{len(rows)} of {total} dead letters", rows)


def show(letter: Annotated[int, typer.Argument(help="The letter's id.")], as_json: AsJson = False) -> None:
    """One letter with its value; bytes that are no text are shown as hex."""
    from kindred.history import letters

    with _servers() as servers:
        found = letters.read(servers.database, letter)
    if found is None:
        raise Misconfigured(f"There is no dead letter {letter}: see `kindred dead-letters list`.")
    if as_json:
        return print_json(as_json_row(found, with_value=True))
    for line in lines(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return None


def replay(
    reason: ReasonOption = None,
    topic: TopicOption = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Try matching letters again; those that become events go, the others stay. Safe to repeat."""
    from kindred.composition import contract, history_store
    from kindred.operations.replay import Replay

    wanted = _filter(reason, topic, older_than, newer_than)
    with _servers() as servers:
        terms = contract(servers.settings, servers.declaration)
        attempt = Replay(servers.database, history_store(servers), terms)
        done = attempt.preview(wanted) if dry_run else attempt.run(wanted)
    if as_json:
        return print_json({"dry_run": dry_run, "events": done.events, "still_bad": dict(done.still_bad)})
    would = "would become" if dry_run else "became"
    bad = ", ".join(f"{name} {number}" for name, number in done.still_bad.most_common()) or "none"
    console.print(f"{done.events} {would} events, which a worker makes searchable. Still bad: {bad}.")
    return None


def purge(
    reason: ReasonOption = None,
    topic: TopicOption = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    everything: Annotated[bool, typer.Option("--all", help="Needed where no filter is given.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete matching letters for good."""
    from kindred.history import letters

    wanted = _filter(reason, topic, older_than, newer_than)
    if wanted.is_empty and not everything:
        raise Misconfigured("Say which letters (--reason, --topic, --older-than, --newer-than) or --all.")
    with _servers() as servers:
        counts = letters.count(servers.database, wanted)
        total = sum(counts.values())
        if not (dry_run or yes or typer.confirm(f"Delete {total} dead letters for good?", err=True)):
            raise typer.Abort
        deleted = 0 if dry_run else _purge(servers, wanted)
    found = [{"topic": name, "reason": why, "letters": number} for (name, why), number in counts.items()]
    if as_json:
        return print_json({"dry_run": dry_run, "deleted": deleted, "matching": found})
    print_rows(f"{total} match", found)
    return console.print(f"{deleted} deleted." if not dry_run else "Nothing was deleted.")


def duration(text: str | None) -> timedelta | None:
    """90s, 15m, 2h or 7d. Raises Misconfigured for anything else."""
    if text is None:
        return None
    if (match := _DURATION.fullmatch(text)) is None:
        raise Misconfigured(f"{text!r} is no duration: write 90s, 15m, 2h or 7d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@contextmanager
def _servers() -> Iterator[Servers]:
    from kindred.composition import opened
    from kindred.history.migrate import check_version

    with opened(load_settings(), "kindred-dead-letters") as servers:
        check_version(servers.database)
        yield servers


def _filter(reason: str | None, topic: str | None, older_than: str | None, newer_than: str | None) -> Filter:
    from kindred.events.schema import Reason
    from kindred.history.letters import Filter

    if reason is not None and reason not in list(Reason):
        raise Misconfigured(f"There is no reason {reason!r}; there are: {', '.join(Reason)}.")
    return Filter(reason, topic, duration(older_than), duration(newer_than))


def _purge(servers: Servers, wanted: Filter) -> int:
    from kindred.history import letters

    deleted = 0
    while number := letters.purge(servers.database, wanted, PURGED_AT_ONCE):
        deleted += number
    return deleted
