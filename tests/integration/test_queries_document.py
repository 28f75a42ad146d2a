"""docs/queries.md says what is true: its examples run, on a Qdrant."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalogue import Shop, empty_shop, fill
from kindred.client import KindredClient

DOCUMENT = (Path(__file__).parents[2] / "docs" / "queries.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.fixture(scope="module")
def shop(qdrant_url: str) -> Iterator[Shop]:
    with empty_shop(qdrant_url) as shop:
        fill(shop)
        yield shop


def placed(example: str, shop: Shop, url: str) -> str:
    """The example for this server and namespace instead of the document's."""
    namespace = shop.names.namespace
    example = example.replace(
        'KindredClient("http://localhost:6333"', f'KindredClient("{url}", namespace="{namespace}"'
    )
    example = example.replace("http://localhost:6333", url)
    return re.sub(r'(?<=["/])(users|items)(?=["/])', rf"{namespace}__\1", example)


@pytest.mark.parametrize("example", blocks("python"))
def test_python_examples_run(example: str, shop: Shop, qdrant_url: str) -> None:
    exec(placed(example, shop, qdrant_url), {})


def test_the_client_example_recommends(shop: Shop, qdrant_url: str) -> None:
    example = next(block for block in blocks("python") if "kindred.recommend" in block)
    names: dict[str, Any] = {}
    exec(placed(example, shop, qdrant_url), names)
    assert [match.id for match in names["answer"]] == ["3"]


def test_the_two_calls_recommend_what_the_client_does(shop: Shop, qdrant_url: str) -> None:
    example = next(block for block in blocks("python") if "recommended" in block)
    names: dict[str, Any] = {}
    exec(placed(example, shop, qdrant_url), names)
    assert [point.payload["item_id"] for point in names["recommended"]] == ["3"]


def test_taste_and_demand_is_what_the_client_asks_for(shop: Shop, qdrant_url: str) -> None:
    example = next(block for block in blocks("python") if "FormulaQuery" in block)
    names: dict[str, Any] = {}
    exec(placed(example, shop, qdrant_url), names)
    with KindredClient(qdrant_url, namespace=shop.names.namespace) as kindred:
        wanted = kindred.recommend("ada", limit=3, popularity_weight=0.3)
    assert [(each.payload["item_id"], each.score) for each in names["wanted"]] == [
        (match.id, match.score) for match in wanted
    ]


def test_the_two_calls_fall_back_to_the_popular(shop: Shop, qdrant_url: str) -> None:
    example = next(block for block in blocks("python") if "recommended" in block)
    names: dict[str, Any] = {}
    exec(placed(example.replace("ada", "nobody"), shop, qdrant_url), names)
    assert [point.payload["item_id"] for point in names["recommended"]] == ["3", "4", "1"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
@pytest.mark.parametrize("example", blocks("bash"))
def test_curl_examples_find_something(example: str, shop: Shop, qdrant_url: str) -> None:
    command = ["bash", "-c", placed(example, shop, qdrant_url)]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    assert answer["status"] == "ok"
    result = answer["result"]
    assert result["points"] if isinstance(result, dict) else result


def test_the_curl_recommendation_is_the_clients(shop: Shop, qdrant_url: str) -> None:
    example = next(
        block for block in blocks("bash") if "items/points/query" in block and "lookup_from" in block
    )
    body = json.loads(re.search(r"-d '(.*)'", placed(example, shop, qdrant_url), re.DOTALL)[1])  # type: ignore[index]
    answer = shop.client.http.client.request(
        type_=dict[str, Any],
        method="POST",
        url=f"/collections/{shop.names.items_alias}/points/query",
        headers={"Content-Type": "application/json"},
        content=json.dumps(body),
    )
    assert [point["payload"]["item_id"] for point in answer["result"]["points"]] == ["3"]
