"""What Postgres has read, against what Kafka says of a partition that is newly assigned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chain import Chain, chain
from kindred.errors import LostHistory
from kindred.events.positions import Claim
from kindred.operations.lineage import Lineage
from running import interaction

HELD = 4  # up to where records are read below


@pytest.fixture
def here(postgres_url: str, qdrant_url: str, tmp_path: Path) -> Iterator[Chain]:
    with chain(postgres_url, qdrant_url, tmp_path) as here:
        for number in range(HELD - 1):
            here.send("interactions", "ann", interaction("ann", "3", number))
        yield here


@pytest.fixture
def lineage(here: Chain) -> Lineage:
    return Lineage(here.servers.database, here.index)


@pytest.fixture
def partition(here: Chain) -> tuple[str, int]:
    return here.settings.topic("interactions"), 0


@pytest.mark.parametrize(
    "claim",
    [
        Claim(HELD, HELD, 9),
        Claim(HELD - 1, HELD - 1, 9),  # synced, and not committed
        Claim(0, 0, 9),  # forgotten by Kafka, and all still there
        Claim(0, HELD, 9),
    ],
)
def test_nothing_is_missing(lineage: Lineage, partition: tuple[str, int], claim: Claim) -> None:
    assert lineage.check_claims({partition: claim}) == {}


def test_a_gap_is_seen_where_kafka_has_forgotten_the_group_until_it_is_accepted(
    lineage: Lineage, partition: tuple[str, int]
) -> None:
    claims = {partition: Claim(0, HELD + 3, HELD + 3)}
    assert lineage.check_claims(claims) == {partition: HELD}
    lineage.accept({partition: HELD + 3})
    assert lineage.check_claims(claims) == {}


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    lineage: Lineage, partition: tuple[str, int]
) -> None:
    assert lineage.check_claims({partition: Claim(0, 0, 2)}) == {}
    assert lineage.check_claims({partition: Claim(0, 1, 9)}) == {}  # nothing is held of it any more


def test_what_is_committed_and_not_held_was_lost(lineage: Lineage, partition: tuple[str, int]) -> None:
    with pytest.raises(LostHistory, match="only up to 4"):
        lineage.check_claims({partition: Claim(HELD + 1, HELD + 1, 9)})
