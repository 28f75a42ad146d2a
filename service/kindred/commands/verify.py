"""`kindred verify`: does Qdrant hold what Postgres says?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kindred.commands.output import AsJson, console, print_json
from kindred.settings import load_settings

if TYPE_CHECKING:
    from kindred.composition import Servers
    from kindred.embedding.fleet import Fleet
    from kindred.history.models import ModelRow
    from kindred.operations.verify import Findings
    from kindred.vectors.points import Points

ADVICE = {
    "missing": "--repair writes it",
    "stale": "--repair writes it again",
    "ahead": "Postgres has lost history: `kindred recover`",
    "not_a_tombstone": "--repair buries it",
    "a_tombstone": "--repair writes it again",
    "surplus": "--repair deletes it",
    "wrong_vector": "--repair writes it again; if many are wrong, the workers run another model or dtype",
}


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(verify)


def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Have workers write again what is wrong.")] = False,
    vectors: Annotated[
        int, typer.Option(min=0, help="Compute so many users' and items' vectors again; 0: none.")
    ] = 1_000,
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
        written = models.read(servers.database)
        findings = Verification(servers.database, points, repairs=repair).run([row.name for row in written])
        if vectors and written:
            _compare_vectors(servers, points, written, vectors, findings, repair)
    if as_json:
        print_json(_differences(findings, repair))
    else:
        _print_findings(findings, repair)
    sys.exit(1 if findings.faults else 0)


def _compare_vectors(
    servers: Servers,
    points: Points,
    written: Sequence[ModelRow],
    number: int,
    findings: Findings,
    repair: bool,
) -> None:
    from kindred.operations.vector_check import TOLERANCE, VectorCheck

    tolerance = TOLERANCE[servers.settings.worker.dtype]
    check = VectorCheck(servers.database, points, _loaded(servers, written), tolerance, repairs=repair)
    check.run([row.name for row in written], number, findings)


def _loaded(servers: Servers, written: Sequence[ModelRow]) -> Fleet:
    """The models in single precision; as a worker does, from where the settings say, else the table."""
    from kindred.embedding.checkpoint import read_manifest
    from kindred.embedding.fleet import Fleet
    from kindred.operations.models import Models

    settings, names = servers.settings, [row.name for row in written]
    fleet = Fleet(threads=settings.worker.threads)
    if settings.checkpoint.is_dir() and (name := read_manifest(settings.checkpoint).name) in names:
        fleet.load(name, settings.checkpoint)
    Models(servers.database, fleet).require(names)
    return fleet


def _differences(findings: Findings, repair: bool) -> dict[str, Any]:
    return {
        "compared": dict(findings.compared),
        "vectors_compared": dict(findings.vectors),
        "repair_requested": repair,
        "faults": [
            {"model": key[0], "kind": key[1], "fault": key[2], "count": n, "examples": findings.examples[key]}
            for key, n in findings.faults.items()
        ],
    }


def _print_findings(findings: Findings, repair: bool) -> None:
    parts = [f"{number} {kind}s" for kind, number in findings.compared.items()]
    parts += [f"{number} vectors of {kind}s" for kind, number in findings.vectors.items()]
    compared = ", ".join(parts) or "nothing"
    _say(f"Compared {compared}: {'equal' if not findings.faults else 'they differ'}.")
    for (model, kind, fault), number in findings.faults.items():
        examples = ", ".join(map(repr, findings.examples[model, kind, fault]))
        _say(f"  {model}: {number} {kind}(s) {fault} ({examples}); {ADVICE[fault]}")
    if repair and findings.faults:
        _say("Repair was asked for: workers write what is missing or wrong; run this again afterwards.")


def _say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
