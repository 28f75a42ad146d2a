"""Rows of the data sets' text files, with faults that name file and line."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from kindred.errors import Misconfigured

Row = TypeVar("Row")


def read_rows(
    path: Path, separator: str, read: Callable[[list[str]], Row], *, header: bool = False
) -> Iterator[Row]:
    """Each line, split at the separator, as `read` makes of it; empty lines are skipped.

    Raises Misconfigured where the file is missing or a line is not what `read` expects.
    """
    try:
        with _opened(path) as lines:
            for number, row in enumerate(_split(lines, separator), start=1):
                if row and not (header and number == 1):
                    yield _read(path, number, row, read)
    except (OSError, EOFError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}. Name its folder with --data-dir.") from error


def _read(path: Path, number: int, row: list[str], read: Callable[[list[str]], Row]) -> Row:
    try:
        return read(row)
    except (ValueError, IndexError) as error:
        raise Misconfigured(f"{path}, line {number} is not as expected: {error}.") from error


def _opened(path: Path) -> IO[str]:
    # Latin-1 is what MovieLens' files are in; the others are plain ASCII.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="latin-1", newline="")
    return open(path, encoding="latin-1", newline="")


def _split(lines: IO[str], separator: str) -> Iterator[list[str]]:
    if separator == ",":
        yield from csv.reader(lines)
    else:
        for line in lines:
            stripped = line.strip()
            yield stripped.split(separator) if stripped else []
