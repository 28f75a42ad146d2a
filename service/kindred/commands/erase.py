"""`kindred erase`: everything of one user, with a proof."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kindred.commands.output import AsJson, console, print_json
from kindred.errors import Misconfigured
from kindred.settings import load_settings

if TYPE_CHECKING:
    from kindred.history.traces import Traces
    from kindred.operations.erase import Eraser

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(erase)


def erase(
    user: Annotated[str, typer.Argument(help="A user id.")],
    reason: Annotated[str | None, typer.Option(help="Kept with the erasure; must not hold the id.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Erase a user as of now and prove it; safe to repeat. Exit code 1 while something is left."""
    if reason and user in reason:
        raise Misconfigured("The reason is kept after the user is gone, so it must not hold the id.")
    with _eraser() as eraser:
        if dry_run:
            return _print_preview(user, *eraser.preview(user), as_json)
        if not yes:
            typer.confirm(f"Erase user {user!r} for good?", abort=True, err=True)
        proof = eraser.erase(user, reason)
    if as_json:
        print_json(proof.as_dict())
    else:
        _print(user, proof)
    sys.exit(0 if proof.is_complete else 1)


@contextmanager
def _eraser() -> Iterator[Eraser]:
    from kindred.composition import contract, history_store, opened
    from kindred.operations.erase import Eraser
    from kindred.vectors.index import Index

    settings = load_settings()
    with opened(settings, "kindred-erase") as servers:
        yield Eraser(
            servers.database,
            history_store(servers),
            Index(servers.qdrant, servers.names, servers.declaration),
            contract(settings, servers.declaration),
            max_batch_age_seconds=settings.worker.max_batch_age_seconds,
            remembers_ids=servers.declaration.user_id_buckets > 0,
        )


def _print_preview(user: str, traces: Traces, dead_letters: int, as_json: bool) -> None:
    found = {
        "known": traces.is_known,
        "profiles": traces.profiles,
        "interactions": traces.interactions,
        "dead_letters": dead_letters,
        "erased_at": traces.noted_at,
    }
    if as_json:
        return print_json(found)
    _say(f"User {user!r} {'is known' if traces.is_known else 'was never seen; the erasure would be noted'}.")
    return _say(_counts("would delete", found))


def _print(user: str, proof: Any) -> None:
    facts = proof.as_dict()
    unknown = "" if proof.was_known else " Nobody had seen this user; the erasure is noted all the same."
    _say(f"User {user!r} is erased as of {proof.erased_at}.{unknown}")
    _say(_counts("deleted", facts["deleted"]))
    rows = ", ".join(f"{table} {number}" for table, number in proof.postgres.items())
    _say(f"left in Postgres: {rows} (the bare id stays until its tombstone is reaped)")
    points = ", ".join(f"{model} {state}" for model, state in proof.qdrant.items()) or "no collection"
    _say(f"left in Qdrant: {points}")
    for reason in proof.left:
        _say(f"NOT COMPLETE: {reason}.")
    _say("out of reach (docs/operations.md says how to deal with it):")
    for what, why in proof.out_of_reach.items():
        _say(f"  {what}: {why}")
    _say(f"The proof is kept in the table erasure under {proof.deleted.user_hash}.")


def _counts(verb: str, found: dict[str, Any]) -> str:
    return (
        f"{verb}: {found['profiles']} profile(s), {found['interactions']} interaction(s), "
        f"{found['dead_letters']} dead letter(s)"
    )


def _say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
