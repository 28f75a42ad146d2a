"""Binary arrays, byte for byte as arrayfuncs.c describes them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from kindred.history import columns


def test_a_text_array_carries_lengths_and_utf8() -> None:
    header = struct.pack(">iiiii", 1, 0, 25, 2, 1)
    assert columns.texts(["a", "é"]).binary == header + b"\0\0\0\x01a" + b"\0\0\0\x02\xc3\xa9"


def test_a_null_is_the_length_minus_one_alone() -> None:
    header = struct.pack(">iiiii", 1, 1, 25, 3, 1)
    assert columns.texts([None, "", None]).binary == header + b"\xff" * 4 + b"\0" * 4 + b"\xff" * 4


def test_an_empty_array_has_no_dimension() -> None:
    assert columns.texts([]).binary == struct.pack(">iii", 0, 0, 25)
    assert columns.bigints([]).binary == struct.pack(">iii", 0, 0, 20)


@pytest.mark.parametrize(
    ("column", "type_number", "code"),
    [(columns.bigints, 20, "q"), (columns.integers, 23, "i"), (columns.smallints, 21, "h")],
)
def test_numbers_are_big_endian_and_signed(column, type_number, code) -> None:
    size = struct.calcsize(f">{code}")
    lowest = -(2 ** (8 * size - 1))
    values = [0, -1, lowest, -lowest - 1]
    expected = b"".join(struct.pack(f">i{code}", size, value) for value in values)
    assert column(values).binary == struct.pack(">iiiii", 1, 0, type_number, 4, 1) + expected


@pytest.mark.parametrize("column", [columns.bigints, columns.integers, columns.smallints])
def test_a_number_too_large_for_its_column_is_an_error(column) -> None:
    with pytest.raises(OverflowError):
        column([2**63])


def test_a_lone_surrogate_is_an_error() -> None:
    with pytest.raises(UnicodeEncodeError):
        columns.texts(["\ud800"])


def test_received_arrays_are_joined_into_sparse_rows() -> None:
    arrays = [columns.integers(values).binary for values in ([1, -2], [], [3])]
    assert columns.lengths(arrays, 4).tolist() == [2, 0, 1]
    assert columns.offsets(columns.lengths(arrays, 4)).tolist() == [0, 2, 2, 3]
    assert columns.concatenated(arrays, 4).tolist() == [1, -2, 3]


def test_no_arrays_are_no_rows() -> None:
    assert columns.offsets(columns.lengths([], 4)).tolist() == [0]
    assert columns.concatenated([], 8).dtype == np.int64


def test_times_count_from_the_unix_epoch() -> None:
    seconds_of_30_years = 946_684_800
    assert columns.times_us([columns.bigints([0]).binary]).tolist() == [seconds_of_30_years * 1_000_000]
