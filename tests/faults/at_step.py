"""A worker that gets a signal at one step of its work: `python at_step.py STEP SIGNAL NUMBER`.

It signals itself as the step ends for the NUMBERth time. SIGKILL is a death there; SIGSTOP makes a zombie of
it, whose writes come late once somebody lets it go.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
import sys
from typing import Any

from kindred import cli, intake
from kindred.embedding.fleet import Fleet
from kindred.events.source import Source
from kindred.history.store import HistoryStore
from kindred.history.transaction import Transaction
from kindred.vectors.index import Index

STEPS: dict[str, tuple[Any, str]] = {
    "decoded": (intake, "decode"),
    "merged, not committed": (Transaction, "_merge"),
    "transaction committed": (HistoryStore, "apply"),
    "embedded": (Fleet, "embed"),
    "users upserted": (Index, "write_users"),
    "offsets committed": (Source, "commit"),
}


def signal_at(step: str, number: signal.Signals, turn: int) -> None:
    """Let the step be followed by the signal, once, in its `turn`."""
    owner, name = STEPS[step]
    honest, turns = getattr(owner, name), itertools.count(1)

    @functools.wraps(honest)
    def signalled(*arguments: Any, **named: Any) -> Any:
        result = honest(*arguments, **named)
        if next(turns) == turn:
            os.kill(os.getpid(), number)
        return result

    setattr(owner, name, signalled)


if __name__ == "__main__":
    step, number, turn = sys.argv[1:4]
    signal_at(step, signal.Signals[number], int(turn))
    sys.argv[1:] = ["worker"]
    cli.main()
