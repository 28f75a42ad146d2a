"""The optimisation: batches of samples through both towers, and one step of AdamW for each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from kindred.embedding.features import Events, Windows, read_of
from kindred.embedding.model import Model
from kindred.embedding.towers import Towers
from kindred.embedding.vocabulary import Bags, joined
from kindred.memory import keep_freed_buffers
from kindred.training import demand
from kindred.training.averaging import fading
from kindred.training.event_log import EventLog, looked_up
from kindred.training.objective import Competition, Objective
from kindred.training.options import LossName, TrainingOptions
from kindred.training.precision import chosen_precision
from kindred.training.samples import Batch, batches, cut

OnShare = Callable[[float], None]  # told the share of the whole training that is done, after each step

_MAX_GRADIENT_NORM = 1.0
_ENCODED_USERS = 50_000


class Learner:
    """Owns a model while it learns to predict the events of `log` marked in `targets`, not the `unwanted`."""

    def __init__(
        self,
        model: Model,
        log: EventLog,
        targets: NDArray[np.bool_],
        options: TrainingOptions,
        unwanted: NDArray[np.bool_] | None = None,
    ) -> None:
        keep_freed_buffers()
        self.model = model
        self._log, self._options = log, options
        self._targets, self._asked = targets, targets if unwanted is None else targets | unwanted
        self.events, self._items = _encoded(model, log)
        self._profiles = _profiles(model, log)
        rows, row_count = self.events.rows[targets], len(self._items.offsets)
        self._log_probability = demand.log_popularity(rows, row_count)
        self._objective = Objective(options, self._log_probability)
        self._odds = None if options.half_life_days is None else demand.odds(log, options.half_life_days)
        # Only in-batch candidates are the targets themselves; the others are drawn by popularity throughout.
        self._log_probability_late = (
            demand.log_demand(rows, row_count, self._odds[targets])
            if self._odds is not None and self._objective.loss == "in-batch"
            else self._log_probability
        )
        self._precision = chosen_precision(options.precision)
        self._average = AveragedModel(model.towers, multi_avg_fn=fading(options.averaging))
        self._optimizer = torch.optim.AdamW(
            model.towers.parameters(), weight_decay=options.weight_decay, fused=True
        )
        self._started = time.monotonic()
        self.share_done = 0.0

    @property
    def averaged(self) -> Model:
        """The model with the fading mean of its weights: what is validated, and what ships."""
        return replace(self.model, towers=cast(Towers, self._average.module))

    @property
    def loss(self) -> LossName:
        """What is made small, by its name."""
        return self._objective.loss

    @property
    def seconds(self) -> float:
        """How long this training has taken, all of its sittings together."""
        return time.monotonic() - self._started

    def run_epoch(self, epoch: int, on_share: OnShare | None = None) -> float:
        """One pass over all targets (`epoch` counts from 1); returns the mean loss of its steps.

        Ends within the epoch when the time budget is spent. What is drawn depends on seed, epoch and share
        done alone, so that a resumed training draws the same.
        """
        self.model.towers.train()
        rng = np.random.default_rng((self._options.seed, epoch))
        torch.manual_seed(int(rng.integers(2**63)))
        in_demand = None if self._odds is None else rng.random(len(self._odds)) < self._odds
        asked = self._asked & in_demand if in_demand is not None and self._is_late else self._asked
        samples = cut(self._log, self.model.options.max_length, rng)
        losses, windows = list[float](), 0
        for batch in batches(samples, self.events, asked, self._options.batch_tokens, rng):
            self.share_done = self._share((epoch - 1 + windows / len(samples.users)) / self._options.epochs)
            if self.share_done >= 1:
                break
            if in_demand is not None and self._is_late:  # which may begin within an epoch
                batch = batch.where(in_demand)
            if len(batch.events):
                losses.append(self._step(batch))
            windows += len(batch.users)
            if on_share:
                on_share(self.share_done)
        self.share_done = self._share(epoch / self._options.epochs)
        return float(np.mean(losses)) if losses else math.nan

    def state(self) -> dict[str, Tensor]:
        """All that the next epoch depends on, besides its number."""
        moments = self._optimizer.state_dict()["state"]
        owned = {"towers": self.model.towers.state_dict(), "average": self._average.state_dict()}
        owned |= {f"optimizer.{at}": own for at, own in moments.items()}
        return {f"{owner}.{name}": value for owner, own in owned.items() for name, value in own.items()}

    def restore(self, state: dict[str, Tensor], share_done: float, seconds: float) -> None:
        """Go on from `state`, after a training of so many seconds."""
        moments = dict[int, dict[str, Tensor]]()
        for key, value in _owned_by("optimizer", state).items():
            at, moment = key.split(".")
            moments.setdefault(int(at), {})[moment] = value
        self.model.towers.load_state_dict(_owned_by("towers", state))
        self._average.load_state_dict(_owned_by("average", state))
        self._optimizer.load_state_dict(self._optimizer.state_dict() | {"state": moments})
        self.share_done, self._started = share_done, time.monotonic() - seconds

    def user_vectors(self, batch: Batch) -> Tensor:
        """(n, 1 + S, d): every user of the batch after 0, 1, … S interactions."""
        return self._user_vectors(batch.users, batch.windows, self.model.towers.item(self._items))

    def _user_vectors(self, users: NDArray[np.int64], windows: Windows, representations: Tensor) -> Tensor:
        tower = self.model.towers.user
        prefixes = tower.profile(self._profiles.take(users))
        with torch.autocast("cpu", self._precision, enabled=self._precision is not torch.float32):
            vectors: Tensor = tower(prefixes, windows, representations)
        return vectors

    @property
    def _is_late(self) -> bool:
        return self.share_done >= demand.BEGINS

    def _share(self, by_epochs: float) -> float:
        # The schedule must have come to its end when the budget is spent, whichever is first.
        if self._options.max_minutes is None:
            return by_epochs
        return max(by_epochs, self.seconds / (60 * self._options.max_minutes))

    def _step(self, batch: Batch) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = self._options.learning_rate * warm_cosine(
                self.share_done, self._options.warm_up_share
            )
        loss = self._loss(batch)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.towers.parameters(), _MAX_GRADIENT_NORM)
        self._optimizer.step()
        self._average.update_parameters(self.model.towers)
        return loss.item()

    def _loss(self, batch: Batch) -> Tensor:
        rows, wanted = self.events.rows[batch.events], self._targets[batch.events]
        drawn = self._objective.drawn(rows[wanted])
        log_probability = self._log_probability_late if self._is_late else self._log_probability
        among = Competition(self._items, log_probability, drawn, rows, batch.windows.rows)
        representations = self.model.towers.item(among.bags)
        windows = replace(batch.windows, rows=among.places(batch.windows.rows))
        positions = self._user_vectors(batch.users, windows, representations)
        asked = torch.from_numpy(batch.rows * positions.shape[1] + batch.positions)
        users = positions.flatten(0, 1).index_select(0, asked)
        # Row 0, the unknown item, is read by histories but is no candidate.
        candidates = self.model.towers.item.project(representations[1:])
        return self._objective(users, candidates, among.numbers(rows), torch.from_numpy(wanted), among)


def _owned_by(owner: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{owner}."): value for key, value in state.items() if key.startswith(f"{owner}.")
    }


def warm_cosine(share: float, warm_up_share: float) -> float:
    """Factor on the learning rate: linear from 0 to 1, then half a cosine back to 0."""
    if share < warm_up_share:
        return max(share, 0.01 * warm_up_share) / warm_up_share
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (share - warm_up_share) / (1 - warm_up_share))))


def _encoded(model: Model, log: EventLog) -> tuple[Events, Bags]:
    """The log in the model's numbers, and the bags of the unknown item (row 0) and all known ones."""
    known = model.encoder.vocabulary.item_ids
    row_of = {item_id: row for row, item_id in enumerate(known, start=1)}
    rows = np.array([row_of.get(item_id, 0) for item_id in log.item_ids], np.int32)
    number_of = {item_id: number for number, item_id in enumerate(log.item_ids)}
    described = (read_of(log.item(number_of[item_id]), model.declaration.item) for item_id in known)
    bags = model.encoder.encode_items([None, *known], [None, *described])
    types = model.encoder.type_numbers(log.type_names).astype(np.int16)
    return Events(looked_up(rows, log.items), looked_up(types, log.types), log.times_us), bags


def _profiles(model: Model, log: EventLog) -> Bags:
    """Every user's profile; not all of them are objects of Python's own at once."""
    starts = range(0, max(len(log.user_ids), 1), _ENCODED_USERS)
    slices = [slice(start, start + _ENCODED_USERS) for start in starts]
    encode = model.encoder.encode_profiles
    return joined([encode(log.user_ids[part], log.profiles[part]) for part in slices])
