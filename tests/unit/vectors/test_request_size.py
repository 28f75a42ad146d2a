from __future__ import annotations

import pytest

from kindred.errors import Outage
from kindred.vectors.connection import TooSlow
from kindred.vectors.request_size import LEAST_BYTES, STEPS_BACK, RequestSize

MOST_BYTES = 1_000_000


def fails(size: RequestSize, error: Outage) -> None:
    with pytest.raises(type(error)), size.tried():
        raise error


def test_halves_after_an_answer_that_did_not_come_in_time_down_to_the_least() -> None:
    size = RequestSize(MOST_BYTES)
    sizes = []
    for _ in range(6):
        fails(size, TooSlow("qdrant", "ReadTimeout"))
        sizes.append(size.bytes)
    assert sizes == [500_000, 250_000, 125_000, 62_500, LEAST_BYTES, LEAST_BYTES]


def test_stays_after_another_outage() -> None:
    size = RequestSize(MOST_BYTES)
    fails(size, Outage("qdrant", "refused"))
    assert size.bytes == MOST_BYTES


def test_grows_back_in_steps_and_no_further() -> None:
    size = RequestSize(MOST_BYTES)
    fails(size, TooSlow("qdrant", "ReadTimeout"))
    with size.tried():
        pass
    assert size.bytes == 500_000 + MOST_BYTES // STEPS_BACK
    for _ in range(STEPS_BACK):
        with size.tried():
            pass
    assert size.bytes == MOST_BYTES


def test_one_that_was_made_smaller_than_the_least_never_grows_by_failing() -> None:
    size = RequestSize(2_000)
    fails(size, TooSlow("qdrant", "ReadTimeout"))
    assert size.bytes == 2_000
