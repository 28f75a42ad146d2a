"""What choices in training are worth: rows for docs/model-quality.md, each a training of so many CPU minutes.

    python tests/benchmarks/variants.py losses --data ml-1m/ --minutes 3

The budget is this process's CPU time on one thread, not the clock's: whoever else uses the machine does not
change a result. Everything else is as `kindred train` has it; the test cases are looked at once a row.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from kindred.declaration import Declaration, EventType, Role
from kindred.embedding.embedder import Embedder
from kindred.embedding.manifest import HeldOut
from kindred.embedding.options import TowerOptions
from kindred.local import datasets
from kindred.training import learner
from kindred.training.dataset import build_log
from kindred.training.evaluate import ModelScorer, from_time, leave_one_out, metrics, ranks
from kindred.training.event_log import EventLog, has_type
from kindred.training.holdout import remaining
from kindred.training.options import TrainingOptions
from kindred.training.targets import new_to_user
from kindred.training.train import fit

MOST_CASES = 10_000
LIKED_FILMS = {
    "rated_5": EventType(Role.POSITIVE),
    "rated_4": EventType(Role.POSITIVE),
    "rated_3": EventType(Role.CONTEXT),
    "rated_2": EventType(Role.NEGATIVE),
    "rated_1": EventType(Role.NEGATIVE),
}
LIKED_ARTICLES = {
    "view": EventType(Role.CONTEXT, seen=False),
    "like": EventType(Role.POSITIVE),
    "bookmark": EventType(Role.POSITIVE),
    "follow": EventType(Role.POSITIVE),
    "comment": EventType(Role.POSITIVE),
}
Cases = Mapping[str, NDArray[np.int64]]


def losses(
    log: EventLog, declared: Declaration, base: TrainingOptions
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each loss, leave-one-out."""
    training = remaining(log, declared, HeldOut(last_targets=True))
    cases = {"": leave_one_out(log, declared)}
    for name, changes in (
        ("full softmax", {"loss": "full"}),
        ("sampled softmax, 1,024", {"loss": "sampled", "sampled_items": 1024}),
        ("in-batch", {"loss": "in-batch"}),
        ("triplet, semi-hard of 1,024", {"loss": "triplet", "sampled_items": 1024}),
        ("triplet, random", {"loss": "triplet", "sampled_items": 1024, "triplet_negatives": "random"}),
    ):
        options = msgspec.structs.replace(base, validation_by="last_target", **changes)
        yield name, measured(training, declared, options, log, declared, cases)


def roles(
    log: EventLog, declared: Declaration, base: TrainingOptions
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every event wanted, against roles, on what was liked and disliked in the newest fifth."""
    films = "rated_5" in declared.events
    with_roles = msgspec.structs.replace(declared, events=LIKED_FILMS if films else LIKED_ARTICLES)
    boundary_us = log.time_at(0.8)
    training = log.before(boundary_us)
    late = new_to_user(log, with_roles) & (log.times_us >= boundary_us)
    disliked = np.flatnonzero(late & has_type(log, with_roles.negative_types))
    cases = {"liked ": from_time(log, with_roles, boundary_us), "disliked ": disliked}
    for name, declaration, weight in (
        ("every event wanted", declared, 0.0),
        ("roles, nothing pushed away", with_roles, 0.0),
        ("roles, disliked pushed away", with_roles, 1.0),
        ("roles, disliked pushed away ten times", with_roles, 10.0),
    ):
        if films or weight == 0.0:
            options = msgspec.structs.replace(base, negative_weight=weight)
            yield name, measured(training, declaration, options, log, with_roles, cases)


def user_ids(
    log: EventLog, declared: Declaration, base: TrainingOptions
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A hashed user id in the profile, or none."""
    training = remaining(log, declared, HeldOut(last_targets=True))
    cases = {"": leave_one_out(log, declared)}
    options = msgspec.structs.replace(base, validation_by="last_target")
    for buckets in (0, 16_384):
        declaration = msgspec.structs.replace(declared, user_id_buckets=buckets)
        yield f"{buckets} buckets", measured(training, declaration, options, log, declared, cases)


def measured(
    training: EventLog,
    declaration: Declaration,
    options: TrainingOptions,
    log: EventLog,
    asked: Declaration,
    cases: Cases,
) -> dict[str, Any]:
    """One row: a training, and its model on each kind of case, as `asked` counts what a user has seen."""
    fitted = fit(training, declaration, options)
    scorer = ModelScorer(Embedder(fitted.model, "measured"), log)
    row: dict[str, Any] = {"epochs": len(fitted.training.epochs)}
    for kind, events in cases.items():
        rng = np.random.default_rng(0)
        few = np.sort(rng.choice(events, min(len(events), MOST_CASES), replace=False))
        if len(few):
            found = metrics(ranks(log, asked, few, scorer))
            row |= {f"{kind}{name}": found[name] for name in ("hr@10", "ndcg@10", "hr@100")}
    return row


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    learner.time = SimpleNamespace(monotonic=time.process_time)  # type: ignore[attr-defined]
    dataset = datasets.load(options.data.name, options.data)
    log = build_log(dataset.in_time_order())
    base = TrainingOptions(
        epochs=10_000, patience=10_000, max_minutes=options.minutes, seed=options.seed,
        towers=TowerOptions(max_length=options.max_length),
    )  # fmt: skip
    experiment = {"losses": losses, "roles": roles, "user-ids": user_ids}[options.experiment]
    for at, (name, row) in enumerate(experiment(log, dataset.declaration, base)):
        if not at:
            print("| " + " | ".join(["", *row]) + " |\n" + "|---" * (1 + len(row)) + "|", flush=True)
        cells = [f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()]
        print("| " + " | ".join([name, *cells]) + " |", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=["losses", "roles", "user-ids"])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder named as its data set: ml-1m, ml-100k, deskdrop"
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="of CPU, each row")
    parser.add_argument("--max-length", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
