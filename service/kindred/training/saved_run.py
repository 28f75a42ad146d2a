"""What an interrupted training goes on from: a folder beside the checkpoint. safetensors and JSON, no pickle.

The folder holds the log itself, for Postgres' log has grown in the meantime.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kindred.declaration import Declaration
from kindred.embedding.manifest import FORMAT, Epoch, HeldOut
from kindred.errors import Misconfigured
from kindred.training import log_files
from kindred.training.event_log import EventLog
from kindred.training.options import TrainingOptions

_LONGEST_REASON = 200
_LOG, _PLAN, _STATE = "log", "plan.json", "state.safetensors"


class Plan(msgspec.Struct, frozen=True):
    """All that a run was asked for, besides its log."""

    declaration: Declaration
    options: TrainingOptions
    held_out: HeldOut = HeldOut()
    align_to: str | None = None
    format: int = 0  # of the checkpoint that it makes; 0: not told


class Story(msgspec.Struct, frozen=True):
    """A run after an epoch, besides its tensors."""

    epochs: list[Epoch]
    best_epoch: int
    metrics: dict[str, float]
    share_done: float
    seconds: float
    half_at: int | None = None  # the epoch that reached the second half


Tensors = dict[str, dict[str, Tensor]]  # by owner and name


class SavedRun:
    """The folder of one run."""

    def __init__(self, checkpoint: Path) -> None:
        self.folder = checkpoint.with_name(f"{checkpoint.name}.training")

    @property
    def exists(self) -> bool:
        """Whether there is an epoch to go on from."""
        return (self.folder / _STATE).exists()

    def begin(self, log: EventLog, plan: Plan) -> None:
        """Keep a new run's log and plan, in place of those of any earlier run."""
        self.discard()
        log_files.save(log, self.folder / _LOG)
        told = msgspec.structs.replace(plan, format=FORMAT)
        (self.folder / _PLAN).write_bytes(msgspec.json.encode(told))

    def opened(self) -> tuple[EventLog, Plan]:
        """The run's log and plan. Raises Misconfigured where they cannot be read."""
        try:
            plan = msgspec.json.decode((self.folder / _PLAN).read_bytes(), type=Plan)
            if plan.format != FORMAT:
                raise ValueError("it is of another version of Kindred")
            return log_files.load(self.folder / _LOG), plan
        except (OSError, ValueError) as error:  # what msgspec raises is one, too
            raise self.refusal(error) from error

    def write(self, story: Story, tensors: Tensors) -> None:
        """Replace the state by one rename: a crash leaves the last one or this one."""
        flat = {
            f"{owner}/{name}": tensor.detach().cpu().contiguous()
            for owner, owned in tensors.items()
            for name, tensor in owned.items()
        }
        aside = self.folder / f".{_STATE}"
        save_file(flat, aside, {"story": msgspec.json.encode(story).decode()})
        os.replace(aside, self.folder / _STATE)

    def read(self) -> tuple[Story, Tensors] | None:
        """The state after the last epoch; None before the first. Raises Misconfigured."""
        if not self.exists:
            return None
        tensors: Tensors = {}
        try:
            with safe_open(self.folder / _STATE, "pt") as file:
                story = msgspec.json.decode(file.metadata()["story"], type=Story)
                for key in file.keys():  # noqa: SIM118 - not a mapping
                    owner, name = key.split("/", 1)
                    tensors.setdefault(owner, {})[name] = file.get_tensor(key)
        except (OSError, SafetensorError, msgspec.DecodeError) as error:
            raise self.refusal(error) from error
        return story, tensors

    def refusal(self, error: Exception) -> Misconfigured:
        """Why nothing can go on from here."""
        reason = " ".join(str(error).split())
        return Misconfigured(
            f"There is no training to go on with in {self.folder} ({reason[:_LONGEST_REASON]}): start anew "
            "without --resume."
        )

    def discard(self) -> None:
        """Remove the folder, if it is there."""
        shutil.rmtree(self.folder, ignore_errors=True)
