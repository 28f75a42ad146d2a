"""`kindred recover`: after Postgres has lost something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kindred.commands.output import AsJson, console, print_json
from kindred.settings import load_settings

if TYPE_CHECKING:
    from kindred.operations.recover import Plan, Recovered

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(recover)


def recover(
    dry_run: DryRun = False,
    offsets_set_by_hand: Annotated[
        bool, typer.Option("--offsets-set-by-hand", help="Leave the group's offsets alone.")
    ] = False,
    accept_offsets: Annotated[
        bool,
        typer.Option("--accept-offsets", help="Nothing was lost: somebody moved the offsets forward."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where no loss shows, as of a command's work.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """After Postgres was restored to an older state: read and embed again what it lost."""
    from kindred.composition import history_store, opened
    from kindred.operations.recover import Recovery
    from kindred.vectors.index import Index

    settings = load_settings()
    with opened(settings, "kindred-recover") as servers:
        index = Index(servers.qdrant, servers.names, servers.declaration)
        recovery = Recovery(settings, servers.database, history_store(servers), index)
        plan = recovery.plan()
        accepting = accept_offsets and not dry_run
        if accepting:
            recovery.accept_offsets(plan)
        going = not (dry_run or accepting) and (plan.is_needed or force or offsets_set_by_hand)
        done = recovery.run(plan, offsets_set_by_hand=offsets_set_by_hand) if going else None
    if as_json:
        return print_json(_facts(plan, done) | {"accepted": accepting})
    _print_plan(plan)
    return _say("These offsets are taken as read; start the workers.") if accepting else _print_done(done)


def _facts(plan: Plan, done: Recovered | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "needed": plan.is_needed,
        "postgres_revision": plan.drawn,
        "qdrant_revision": plan.highest,
        "epoch": plan.epoch,
        "group": {"name": plan.group.name, "state": plan.group.state},
        "rewind": _named(plan.rewinds),
        "by_hand": _by_hand(plan),
        "done": None,
    }
    if done is not None:
        gaps = _named(done.gaps)
        facts["done"] = {"epoch": done.epoch, "erased_again": done.erased_again, "gaps": gaps}
    return facts


def _print_plan(plan: Plan) -> None:
    _say(f"Postgres has drawn revision {plan.drawn}, Qdrant holds {plan.highest}: {_judged(plan)}.")
    for (topic, partition), offset in sorted(plan.rewinds.items()):
        committed = plan.group.committed[topic, partition]
        _say(f"  {topic}[{partition}]: from {committed} back to {offset}, {committed - offset} records")
    if plan.rewinds and not plan.group.is_empty:
        _say(f"The group {plan.group.name} has members ({plan.group.state}). Stop them; or, by hand:")
        for command in _by_hand(plan):
            _say(f"  {command}")


def _judged(plan: Plan) -> str:
    return "Postgres has lost history" if plan.is_needed else "nothing is lost that shows"


def _print_done(done: Recovered | None) -> None:
    if done is None:
        return _say("Nothing was changed.")
    for (topic, partition), offset in done.gaps.items():
        _say(f"GAP: retention has deleted records of {topic}[{partition}] before {offset}; they are lost.")
    _say(f"Epoch {done.epoch}. {done.erased_again} lost erasures were made again.")
    return _say("Everybody waits to be written again: start the workers; `kindred doctor` counts the rest.")


def _by_hand(plan: Plan) -> list[str]:
    from kindred.events.group import set_offsets_by_hand

    return set_offsets_by_hand(load_settings(), plan.rewinds)


def _named(offsets: Mapping[tuple[str, int], int]) -> dict[str, int]:
    return {f"{topic}[{partition}]": offset for (topic, partition), offset in sorted(offsets.items())}


def _say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
