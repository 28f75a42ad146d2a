"""What is kept back from training, so that evaluation can ask about what the model has never met.

Users and items are chosen by a hash of their id, so evaluation finds them again in any later log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kindred.declaration import Declaration
from kindred.embedding.manifest import HeldOut
from kindred.training.evaluate import newest_takes
from kindred.training.event_log import EventLog, looked_up


def remaining(log: EventLog, declaration: Declaration, held_out: HeldOut) -> EventLog:
    """The log to train on; users and items keep their numbers."""
    kept = ~looked_up(held_out_items(log, held_out), log.items) & ~held_out_users(log, held_out)[log.users]
    if held_out.newest_share:
        kept &= log.times_us < log.time_at(1.0 - held_out.newest_share)
    if held_out.last_targets:
        kept &= before_last_target(log, declaration)
    return log.where(kept)


def held_out_users(log: EventLog, held_out: HeldOut) -> NDArray[np.bool_]:
    """(users,) those of whom training sees no event."""
    return _chosen("user", log.user_ids, held_out.users_share, held_out.seed)


def held_out_items(log: EventLog, held_out: HeldOut) -> NDArray[np.bool_]:
    """(items,) those on which training sees no event."""
    return _chosen("item", log.item_ids, held_out.items_share, held_out.seed)


def before_last_target(log: EventLog, declaration: Declaration) -> NDArray[np.bool_]:
    """(events,) those before their user's newest target; all of a user who has none.

    One whose item was removed since counts: the split must stay where it was when the model was trained.
    """
    cases = newest_takes(log, declaration)
    newest = np.full(len(log.user_ids), len(log))
    newest[log.users[cases]] = cases
    earlier: NDArray[np.bool_] = np.arange(len(log)) < newest[log.users]
    return earlier


def _chosen(kind: str, ids: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    if not share:
        return np.zeros(len(ids), bool)
    return np.array([_draw(f"{seed}:{kind}:{each}") < share for each in ids], bool)


def _draw(text: str) -> float:
    """Uniform in [0, 1), the same on every machine and run."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
