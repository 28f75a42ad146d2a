"""The embedded Qdrant as a process: how it starts and stops, and how it says no."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

VECTORS = models.VectorParams(size=2, distance=models.Distance.DOT)


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "kindred.local.qdrant_server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return f"http://127.0.0.1:{int(process.stdout.readline())}"


@pytest.fixture
def qdrant(url: str) -> Iterator[QdrantClient]:
    client = QdrantClient(url)
    client.create_collection("shop", VECTORS)
    yield client
    client.delete_collection("shop")
    client.close()


def point(number: int | str, **payload: Any) -> models.PointStruct:
    return models.PointStruct(id=number, vector=[1.0, 2.0], payload=payload)


def refusal(url: str, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url + path, data=body, method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    return refused.value.code, json.load(refused.value)["status"]["error"]


def test_its_version_suits_the_client(url: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert QdrantClient(url).info().version.startswith("1.")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
def test_health(url: str, path: str) -> None:
    with urllib.request.urlopen(url + path, timeout=5) as answer:
        assert answer.status == 200


def test_collections_and_aliases(qdrant: QdrantClient) -> None:
    alias = models.CreateAlias(collection_name="shop", alias_name="front")
    qdrant.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    assert qdrant.collection_exists("shop")
    assert not qdrant.collection_exists("other")
    assert [each.name for each in qdrant.get_collections().collections] == ["shop"]
    assert [each.alias_name for each in qdrant.get_collection_aliases("shop").aliases] == ["front"]
    assert qdrant.get_collection("front").config.params.vectors == VECTORS


def test_payload_indexes_are_remembered(qdrant: QdrantClient) -> None:
    qdrant.create_payload_index("shop", "year", models.PayloadSchemaType.FLOAT)
    assert qdrant.get_collection("shop").payload_schema["year"].data_type == models.PayloadSchemaType.FLOAT
    qdrant.delete_payload_index("shop", "year")
    assert qdrant.get_collection("shop").payload_schema == {}


def test_points_come_and_go(qdrant: QdrantClient) -> None:
    qdrant.upsert("shop", [point(1, year=1995), point(2, year=1996)])
    qdrant.upsert("shop", models.Batch(ids=[3], vectors=[[0.0, 1.0]], payloads=[{"year": 1997}]))
    qdrant.set_payload("shop", {"seen": True}, points=[1])
    qdrant.overwrite_payload("shop", {"year": 2000}, points=[2])
    qdrant.delete_payload("shop", ["year"], points=[3])
    qdrant.delete("shop", models.PointIdsList(points=[4]))
    found = {each.id: each.payload for each in qdrant.retrieve("shop", [1, 2, 3, 4])}
    assert found == {1: {"year": 1995, "seen": True}, 2: {"year": 2000}, 3: {}}
    qdrant.delete("shop", models.Filter(must=[models.HasIdCondition(has_id=[1, 2])]))
    assert qdrant.count("shop").count == 1


def test_insert_only_and_update_only(qdrant: QdrantClient) -> None:
    qdrant.upsert("shop", [point(1, n=1)])
    qdrant.upsert("shop", [point(1, n=2), point(2, n=2)], update_mode=models.UpdateMode.INSERT_ONLY)
    qdrant.upsert("shop", [point(2, n=3), point(3, n=3)], update_mode=models.UpdateMode.UPDATE_ONLY)
    assert {each.id: (each.payload or {})["n"] for each in qdrant.retrieve("shop", [1, 2, 3])} == {1: 1, 2: 3}


def test_a_batch_of_updates_and_a_batch_of_queries(qdrant: QdrantClient) -> None:
    upsert = models.UpsertOperation(upsert=models.PointsList(points=[point(1), point(2)]))
    delete = models.DeleteOperation(delete=models.PointIdsList(points=[2]))
    qdrant.batch_update_points("shop", [upsert, delete])
    request = models.QueryRequest(query=[1.0, 0.0], limit=3)
    answers = qdrant.query_batch_points("shop", [request, request])
    assert [[each.id for each in answer.points] for answer in answers] == [[1], [1]]


def test_scrolling_visits_every_point_once_in_order_of_ids(qdrant: QdrantClient) -> None:
    uuid = "00000000-0000-4000-8000-00000000000a"
    qdrant.upsert("shop", [point(number) for number in (5, 3, uuid, 9, 1)])
    qdrant.delete("shop", models.PointIdsList(points=[3]))
    visited: list[Any] = []
    offset = None
    while True:
        page, offset = qdrant.scroll("shop", limit=2, offset=offset)
        visited += [each.id for each in page]
        if offset is None:
            break
    assert visited == [1, 5, 9, uuid]


def test_order_by_needs_an_index_as_on_the_server(qdrant: QdrantClient) -> None:
    qdrant.upsert("shop", [point(1, year=1995), point(2, year=1996)])
    with pytest.raises(UnexpectedResponse, match="No range index"):
        qdrant.scroll("shop", order_by="year")
    qdrant.create_payload_index("shop", "year", models.PayloadSchemaType.INTEGER)
    assert [each.id for each in qdrant.scroll("shop", order_by="year")[0]] == [1, 2]


def test_refusals_have_the_servers_status(qdrant: QdrantClient, url: str) -> None:
    assert refusal(url, "GET", "/collections/none") == (404, "Not found: Collection `none` doesn't exist!")
    assert refusal(url, "GET", "/collections/shop/points/5")[0] == 404
    assert refusal(url, "POST", "/collections/shop/points/query", b'{"query": 5}') == (
        404,
        "Not found: No point with id 5 found",
    )
    assert refusal(url, "PUT", "/collections/shop/points", b"{")[0] == 400
    assert (
        refusal(url, "PUT", "/collections/shop/points", b'{"points": [{"id": -1, "vector": []}]}')[0] == 400
    )
    assert refusal(url, "PUT", "/collections/shop", b'{"vectors": {"size": 2, "distance": "Dot"}}')[0] == 409
    assert refusal(url, "GET", "/nothing")[0] == 404


def test_aliases_move_all_or_none(qdrant: QdrantClient) -> None:
    moves = [
        models.CreateAliasOperation(
            create_alias=models.CreateAlias(collection_name=name, alias_name=name[::-1])
        )
        for name in ("shop", "none")
    ]
    with pytest.raises(UnexpectedResponse, match="404"):
        qdrant.update_collection_aliases(moves)
    assert qdrant.get_aliases().aliases == []


def test_sigterm_stops_it_cleanly() -> None:
    command = [sys.executable, "-m", "kindred.local.qdrant_server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
        assert process.stderr.read() == ""
