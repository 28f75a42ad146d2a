"""`kindred verify --vectors N`: are the vectors of some users and items what the model gives today?

Revisions say which row a point was made of; only embedding it once more says that it was made right. A vector
is wrong that differs at its row's revision, twice, while nothing waits that would change it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kindred.embedding.fleet import Fleet
from kindred.history import audit, samples
from kindred.history.audit import Kind
from kindred.history.connection import Database
from kindred.history.samples import Sample
from kindred.history.window import Item
from kindred.operations.verify import PATIENCE_SECONDS, Findings
from kindred.vectors.points import Points

# Of |a - b| / |b|. Workers in bfloat16 are compared with single precision here: a cosine of .999.
TOLERANCE: Final = {"float32": 1e-3, "bfloat16": 4.5e-2}

Vectors = Mapping[str, tuple[int, NDArray[np.float32]]]  # revision and vector, by external id


@dataclass(frozen=True, slots=True)
class VectorCheck:
    """Compares a sample. `fleet` holds the models, in single precision, and has met no item yet."""

    database: Database
    points: Points
    fleet: Fleet
    tolerance: float
    repairs: bool = False
    wait: Callable[[float], None] = time.sleep

    def run(self, models: Sequence[str], number: int, findings: Findings) -> None:
        """Compare up to so many users and so many items in each model. Raises Outage, CollectionGone."""
        sample = samples.draw(self.database, number)
        self.fleet.update_items(sample.items)
        described = [item for item in sample.items if not item.removed]
        chosen = random.sample(described, min(number, len(described)))
        for model in models:
            users, items = self._wrong_users(model, sample), self._wrong_items(model, chosen)
            findings.vectors["user"] += len(sample.histories)
            findings.vectors["item"] += len(chosen)
            if users or items:
                self._look_again(model, users, items, findings)

    def _look_again(self, model: str, users: Sequence[str], items: Sequence[str], findings: Findings) -> None:
        """They may have been between a change and its write."""
        self.wait(PATIENCE_SECONDS)
        sample = samples.again(self.database, users)
        self.fleet.update_items(sample.items)
        named = set(items)
        still = [item for item in sample.items if item.item_id in named and not item.removed]
        self._note(model, "user", self._wrong_users(model, sample), findings)
        self._note(model, "item", self._wrong_items(model, still), findings)

    def _note(self, model: str, kind: Kind, wrong: Sequence[str], findings: Findings) -> None:
        waiting = samples.unsettled(self.database, kind, wrong)
        lasting = [each for each in wrong if each not in waiting]
        findings.note(model, kind, dict.fromkeys(lasting, "wrong_vector"))
        if self.repairs and lasting:
            audit.request(self.database, kind, lasting)

    def _wrong_users(self, model: str, sample: Sample) -> list[str]:
        user_ids = sample.histories.user_ids
        found = self.points.vectors(model, "user", user_ids)
        ours = self.fleet.embed([model], sample.histories).get(model, ())
        return [
            user_id
            for user_id, revision, vector in zip(user_ids, sample.revisions, ours, strict=True)
            if user_id in found and found[user_id][0] == revision
            and self._differs(found[user_id][1], vector)
        ]  # fmt: skip

    def _wrong_items(self, model: str, chosen: Sequence[Item]) -> list[str]:
        found = self.points.vectors(model, "item", [item.item_id for item in chosen])
        ours = self.fleet.embed_items([model], chosen).get(model, ())
        return [
            item.item_id
            for item, vector in zip(chosen, ours, strict=True)
            # One that is written again keeps the revision of its row.
            if item.item_id in found and found[item.item_id][0] >= item.revision
            and self._differs(found[item.item_id][1], vector)
        ]  # fmt: skip

    def _differs(self, written: NDArray[np.float32], ours: NDArray[np.float32]) -> bool:
        return bool(np.linalg.norm(written - ours) > self.tolerance * np.linalg.norm(ours))
