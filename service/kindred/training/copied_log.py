"""Postgres' log as a memory-mapped `EventLog`: columns on disk, no object of Python's own per event."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.history.log import LogReader
from kindred.training import log_files
from kindred.training.event_log import SLICE_EVENTS, EventLog
from kindred.training.rows import RowsWriter

_MOST_TYPES = 2**15  # their numbers are Postgres' smallint


def copied_log(reader: LogReader) -> EventLog:
    """The log as columns in the folder for temporary files (TMPDIR).

    The files have no name any more when it returns: their space is free again once the log is dropped.
    """
    with TemporaryDirectory(prefix="kindred-log-") as scratch:
        folder = Path(scratch)
        _copy_users(reader, folder)
        seen_items, seen_types = _copy_interactions(reader, folder)
        _renumber(folder / "items", _copy_items(reader, folder, seen_items).astype(np.int32))
        _renumber(folder / "types", _copy_types(reader, folder, seen_types).astype(np.int16))
        return log_files.load(folder)


def _copy_users(reader: LogReader, folder: Path) -> None:
    lengths, from_start = [0], []
    with RowsWriter(folder / log_files.USER_IDS) as ids, RowsWriter(folder / log_files.PROFILES) as profiles:
        for user in reader.users():
            ids.add(user.user_id.encode())
            profiles.add((user.profile or "{}").encode())
            lengths.append(user.interactions)
            from_start.append(not user.cut)
    np.cumsum(lengths, dtype=np.int64).tofile(folder / "offsets")
    np.array(from_start, np.bool_).tofile(folder / "from_start")


def _copy_interactions(reader: LogReader, folder: Path) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Returns which item numbers and which type numbers occur."""
    seen_items, seen_types = np.zeros(1, bool), np.zeros(_MOST_TYPES, bool)
    with (
        (folder / "items").open("wb") as items,
        (folder / "types").open("wb") as types,
        (folder / "times_us").open("wb") as times_us,
    ):
        for block in reader.interactions():
            seen_items = _grown(seen_items, int(block.items.max(initial=0)) + 1)
            seen_items[block.items] = True
            seen_types[block.types] = True
            block.items.tofile(items)
            block.types.tofile(types)
            block.times_us.tofile(times_us)
    return seen_items, seen_types


def _copy_items(reader: LogReader, folder: Path, seen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Writes the items that occur or are described; returns the place of each of Postgres' numbers."""
    kept, removed = [], []
    with (
        RowsWriter(folder / log_files.ITEM_IDS) as ids,
        RowsWriter(folder / log_files.TITLES) as titles,
        RowsWriter(folder / log_files.ATTRIBUTES) as described,
    ):
        for item in reader.items():
            if item.attributes is None and not (item.number < len(seen) and seen[item.number]):
                continue
            ids.add(item.item_id.encode())
            titles.add(msgspec.json.encode(item.title))
            described.add((item.attributes or "null").encode())
            kept.append(item.number)
            removed.append(item.removed)
    np.array(removed, np.bool_).tofile(folder / "removed")
    return _places(kept)


def _copy_types(reader: LogReader, folder: Path, seen: NDArray[np.bool_]) -> NDArray[np.int64]:
    numbers = {name: number for name, number in reader.event_types().items() if seen[number]}
    (folder / log_files.TYPE_NAMES).write_bytes(msgspec.json.encode(list(numbers)))
    return _places(list(numbers.values()))


def _places(numbers: Sequence[int]) -> NDArray[np.int64]:
    """At each number its place in `numbers`."""
    places = np.zeros(max(numbers, default=0) + 1, np.int64)
    places[numbers] = np.arange(len(numbers))
    return places


def _renumber(path: Path, places: NDArray[np.signedinteger]) -> None:
    """Replace each number in a column by its place."""
    if not path.stat().st_size:
        return
    column = np.memmap(path, places.dtype, mode="r+")
    for start in range(0, len(column), SLICE_EVENTS):
        part = slice(start, start + SLICE_EVENTS)
        column[part] = places[column[part]]


def _grown(seen: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    return seen if size <= len(seen) else np.pad(seen, (0, size - len(seen)))
