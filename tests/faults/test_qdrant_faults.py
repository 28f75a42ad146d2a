"""Qdrant refusing, slow, in error, losing replies and collections, under a worker that repeats its writes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from chain import kindred
from faults.scene import Scene
from http_faults import Answers, AnswersLate, Fault, HttpFaults, LosesReply, Request, http_faults
from kindred.composition import opened
from kindred.embedding.checkpoint import read_manifest
from kindred.errors import CollectionGone
from kindred.settings import Settings
from running import committed, eventually, is_alive, is_ready, many, one, prepare, producing, rows, running
from truth import assert_exact, is_searchable

LOGGED = "SELECT count(*) FROM interaction"
FAULTS: dict[str, Fault] = {
    "internal error": Answers(500),
    "too many requests": Answers(429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"),
    "somebody else's page": Answers(200, body=b"<html>We are back soon"),
    "a reply that is lost": LosesReply(),
    "slower than the timeout": AnswersLate(1.5),
}


@pytest.fixture(autouse=True)
def healed(scene: Scene) -> Iterator[None]:
    """Whatever a test has left."""
    yield
    scene.qdrant_http.heal()


def writes_users(request: Request) -> bool:
    return request.is_write and "users__" in request.path


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_few_writes_fail(scene: Scene, fault: Fault) -> None:
    wanted = scene.qdrant_http.injected + 2
    scene.qdrant_http.fail(fault, times=2, only=writes_users)
    scene.clicks()
    eventually(lambda: scene.qdrant_http.injected == wanted or scene.clicks(5))
    scene.clicks()
    scene.settle()


def test_one_request_in_three_fails_for_a_while(scene: Scene) -> None:
    injected = scene.qdrant_http.injected
    for fault in (Answers(503), LosesReply()):
        scene.qdrant_http.fail(fault, share=0.3, only=lambda _: True)
        for _ in range(5):
            scene.clicks(50)
            eventually(lambda: scene.logged() == len(scene.events))
    scene.qdrant_http.heal()
    assert scene.qdrant_http.injected > injected
    scene.settle()


def test_attempts_grow_apart(scene: Scene) -> None:
    rebalances = scene.rebalances()
    began = len(scene.qdrant_http.requests)
    scene.qdrant_http.fail(Answers(503), only=writes_users)
    scene.clicks()
    assert "HTTP 503" in scene.away("qdrant")
    gaps = _gaps(scene.qdrant_http, began, 4)
    scene.qdrant_http.heal()
    scene.settle()
    assert gaps[-1] > 2 * gaps[0]
    assert scene.rebalances() == rebalances


def test_a_server_that_says_when_to_come_again_is_left_alone_until_then(scene: Scene) -> None:
    began = len(scene.qdrant_http.requests)
    scene.qdrant_http.fail(Answers(429, retry_after="1"), times=1, only=writes_users)
    scene.clicks()
    (gap,) = _gaps(scene.qdrant_http, began, 1)
    assert gap >= 1
    scene.settle()


@pytest.fixture
def faults(qdrant_url: str) -> Iterator[HttpFaults]:
    with http_faults(qdrant_url) as faults:
        yield faults


@pytest.fixture
def prepared(settings: Settings, faults: HttpFaults, tmp_path: Path) -> Settings:
    qdrant = settings.qdrant.model_copy(update={"url": faults.url})
    return prepare(settings.model_copy(update={"qdrant": qdrant}), tmp_path)


def test_a_collection_that_goes_with_its_model_is_missed_by_nobody(
    prepared: Settings, faults: HttpFaults
) -> None:
    """Rule 25. The batch is on its way to a model that is retired meanwhile."""
    with running(prepared), producing(prepared) as produce:
        eventually(lambda: is_ready(prepared))
        faults.fail(Answers(503), only=writes_users)
        produce.interactions(many(50))
        eventually(lambda: faults.injected and one(prepared, LOGGED) == 50)
        rows(prepared, "UPDATE model SET state = 'retired'")
        _drop_users(prepared)
        faults.heal()
        eventually(lambda: sum(committed(prepared).values()) == 50)
        assert is_alive(prepared)


@pytest.mark.slow
def test_a_collection_that_is_lost_stops_the_worker_until_it_is_filled_again(prepared: Settings) -> None:
    events = many(100)
    with producing(prepared) as produce:
        with (  # noqa: PT012
            pytest.raises(CollectionGone, match=r"users__.*kindred verify --repair"),
            running(prepared),
        ):
            eventually(lambda: is_ready(prepared))
            produce.interactions(events[:50])
            eventually(lambda: is_searchable(prepared) and one(prepared, LOGGED) == 50)
            _drop_users(prepared)
            produce.interactions(events[50:])
            eventually(lambda: not is_alive(prepared))
        with running(prepared):
            eventually(lambda: one(prepared, LOGGED) == 100)
            kindred(prepared, "verify", "--repair")
            eventually(lambda: is_searchable(prepared))
    assert_exact(prepared, events)


def _gaps(faults: HttpFaults, began: int, number: int) -> list[float]:
    """Seconds between the first attempts to write users."""

    def attempts() -> list[float]:
        return [each.at_seconds for each in faults.requests[began:] if writes_users(each)]

    eventually(lambda: len(attempts()) > number)
    return [later - earlier for earlier, later in pairwise(attempts()[: number + 1])]


def _drop_users(settings: Settings) -> None:
    with opened(settings) as servers:
        servers.qdrant.delete_collection(servers.names.users(read_manifest(settings.checkpoint).name))
