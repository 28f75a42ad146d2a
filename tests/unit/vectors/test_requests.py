"""Requests are cut by bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kindred.vectors.requests import cut


@given(st.lists(st.binary(max_size=20)), st.integers(1, 50))
def test_every_part_is_there_once_in_order(parts: list[bytes], max_bytes: int) -> None:
    assert [part for run in cut(parts, max_bytes) for part in run] == parts


@given(st.lists(st.binary(max_size=20)), st.integers(1, 50))
def test_no_run_is_too_large_unless_one_part_is(parts: list[bytes], max_bytes: int) -> None:
    for run in cut(parts, max_bytes):
        assert len(run) == 1 or sum(map(len, run)) <= max_bytes


def test_runs_are_as_long_as_they_may_be() -> None:
    assert list(cut([b"aa", b"bb", b"c", b"dddd"], 5)) == [[b"aa", b"bb", b"c"], [b"dddd"]]
    assert list(cut([], 5)) == []
