"""What a batch was made of besides its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Origin:
    """Records of Kafka, or a command.

    `offsets`: the next offset of each (topic, partition) whose records these were, and `begins` up to where
    Postgres must hold it before. A batch `by_command` has no records behind it: all that it names waits in
    pending_sync until it is written (rule 23), the dead letters `replayed` by it go with it, and the `reason`
    is kept with its erasures.
    """

    offsets: Mapping[tuple[str, int], int] = field(default_factory=dict)
    begins: Mapping[tuple[str, int], int] = field(default_factory=dict)
    by_command: bool = False
    replayed: Sequence[int] = ()
    reason: str | None = None
