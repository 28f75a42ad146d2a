"""`kindred recover` and `kindred verify`: after Postgres or Qdrant has lost something."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kindred.commands.output import AsJson, console, print_json
from kindred.settings import load_settings

if TYPE_CHECKING:
    from kindred.operations.recover import Plan, Recovered
    from kindred.operations.verify import Findings

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
ADVICE = {
    "missing": "--repair writes it",
    "stale": "--repair writes it again",
    "ahead": "Postgres has lost history: `kindred recover`",
    "not_a_tombstone": "--repair buries it",
    "a_tombstone": "--repair writes it again",
    "surplus": "--repair deletes it",
}


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(recover)
    app.command()(verify)


def recover(
    dry_run: DryRun = False,
    offsets_set_by_hand: Annotated[
        bool, typer.Option("--offsets-set-by-hand", help="Leave the group's offsets alone.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where Qdrant is not ahead, as after a small loss.")
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
        going = not dry_run and (plan.is_needed or force)
        done = recovery.run(plan, offsets_set_by_hand=offsets_set_by_hand) if going else None
    if as_json:
        return print_json(_facts(plan, done))
    _print_plan(plan)
    return _print_done(done)


def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Have workers write again what is wrong.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare Qdrant with Postgres, beside running workers; exit code 1 if anything differs."""
    from kindred.composition import opened
    from kindred.history import models
    from kindred.history.migrate import check_version
    from kindred.operations.verify import Verification
    from kindred.vectors.points import Points

    with opened(load_settings(), "kindred-verify") as servers:
        check_version(servers.database)
        points = Points(servers.qdrant, servers.names)
        written = [row.name for row in models.read(servers.database)]
        findings = Verification(servers.database, points, repairs=repair).run(written)
    if as_json:
        print_json(_differences(findings, repair))
    else:
        _print_findings(findings, repair)
    sys.exit(1 if findings.faults else 0)


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


def _differences(findings: Findings, repair: bool) -> dict[str, Any]:
    return {
        "compared": dict(findings.compared),
        "repair_requested": repair,
        "faults": [
            {"model": key[0], "kind": key[1], "fault": key[2], "count": n, "examples": findings.examples[key]}
            for key, n in findings.faults.items()
        ],
    }


def _print_findings(findings: Findings, repair: bool) -> None:
    compared = ", ".join(f"{number} {kind}s" for kind, number in findings.compared.items()) or "nothing"
    _say(f"Compared {compared}: {'equal' if not findings.faults else 'they differ'}.")
    for (model, kind, fault), number in findings.faults.items():
        examples = ", ".join(map(repr, findings.examples[model, kind, fault]))
        _say(f"  {model}: {number} {kind}(s) {fault} ({examples}); {ADVICE[fault]}")
    if repair and findings.faults:
        _say("Repair was asked for: workers write what is missing or wrong; run this again afterwards.")


def _say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
