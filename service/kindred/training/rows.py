"""Many short texts as one memory-mapped file: a sequence without an object per entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

T = TypeVar("T")

_OFFSETS = ".offsets"


class Rows(Sequence[T], Generic[T]):
    """Entry k is made, on each access, from the bytes `[offsets[k], offsets[k + 1])` of a file."""

    def __init__(self, path: Path, read: Callable[[bytes], T]) -> None:
        self._bytes = column(path, np.uint8)
        self._offsets = column(path.with_suffix(_OFFSETS), np.int64)
        self._read = read

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        place = range(len(self))[at]
        return self._read(self._bytes[self._offsets[place] : self._offsets[place + 1]].tobytes())


class RowsWriter:
    """Writes the file that `Rows` reads, and a second one with the offsets."""

    def __init__(self, path: Path) -> None:
        self._content, self._offsets = path.open("wb"), path.with_suffix(_OFFSETS).open("wb")
        self._end = 0
        self._write_offset()

    def add(self, entry: bytes) -> None:
        self._content.write(entry)
        self._end += len(entry)
        self._write_offset()

    def __enter__(self) -> RowsWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._content.close()
        self._offsets.close()

    def _write_offset(self) -> None:
        self._offsets.write(np.int64(self._end).tobytes())


def write_rows(path: Path, entries: Iterable[bytes]) -> None:
    """All entries at once."""
    with RowsWriter(path) as writer:
        for entry in entries:
            writer.add(entry)


def column(path: Path, dtype: DTypeLike) -> NDArray[Any]:
    """A file of plain numbers, mapped into memory; read only."""
    if not path.stat().st_size:
        return np.zeros(0, dtype)  # an empty file cannot be mapped
    return np.asarray(np.memmap(path, dtype, mode="r"))
