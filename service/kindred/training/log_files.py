"""A log as a folder of plain columns, opened by mapping them: what a long training run leaves on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.training.event_log import EventLog
from kindred.training.rows import Rows, column, write_rows

COLUMNS: Mapping[str, Any] = {
    "offsets": np.int64,
    "items": np.int32,
    "types": np.int16,
    "times_us": np.int64,
    "from_start": np.bool_,
    "removed": np.bool_,
}
USER_IDS, ITEM_IDS = "user_ids.txt", "item_ids.txt"
# One after another, without a separator.
PROFILES, TITLES, ATTRIBUTES = "profiles.json", "titles.json", "attributes.json"
TYPE_NAMES = "type_names.json"


def save(log: EventLog, folder: Path) -> None:
    """Write a log to `folder`, which must not hold another one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, dtype in COLUMNS.items():
        values: NDArray[Any] = getattr(log, name)
        values.astype(dtype, copy=False).tofile(folder / name)
    write_rows(folder / USER_IDS, map(str.encode, log.user_ids))
    write_rows(folder / ITEM_IDS, map(str.encode, log.item_ids))
    write_rows(folder / PROFILES, map(msgspec.json.encode, log.profiles))
    write_rows(folder / TITLES, map(msgspec.json.encode, log.titles))
    write_rows(folder / ATTRIBUTES, map(msgspec.json.encode, log.attributes))
    (folder / TYPE_NAMES).write_bytes(msgspec.json.encode(log.type_names))


def load(folder: Path) -> EventLog:
    """Map the log that `save` wrote. The files may be unlinked while it is in use."""
    item_ids = Rows(folder / ITEM_IDS, bytes.decode)
    columns = {name: column(folder / name, dtype) for name, dtype in COLUMNS.items() if name != "removed"}
    return EventLog(
        user_ids=Rows(folder / USER_IDS, bytes.decode),
        item_ids=item_ids,
        type_names=msgspec.json.decode((folder / TYPE_NAMES).read_bytes(), type=list[str]),
        profiles=Rows(folder / PROFILES, _profiles.decode),
        titles=_titles(folder, len(item_ids)),
        attributes=Rows(folder / ATTRIBUTES, _attributes.decode),
        removed=_removed(folder, len(item_ids)),
        **columns,
    )


# A training that began before the next two columns were there goes on as it began.
def _titles(folder: Path, items: int) -> Sequence[str | None]:
    path = folder / TITLES
    return Rows(path, _title.decode) if path.exists() else [None] * items


def _removed(folder: Path, items: int) -> NDArray[np.bool_]:
    path = folder / "removed"
    return column(path, np.bool_) if path.exists() else np.zeros(items, bool)


_title = msgspec.json.Decoder(str | None)
_profiles = msgspec.json.Decoder(dict[str, Any])
_attributes = msgspec.json.Decoder(dict[str, Any] | None)
