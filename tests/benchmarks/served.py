"""Recommendations as another service gets them: a worker's writes, then `KindredClient.recommend`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient

from kindred.client import KindredClient
from kindred.declaration import Declaration
from kindred.embedding.embedder import Embedder
from kindred.training.evaluate import discounted, hits, leave_one_out
from kindred.training.event_log import EventLog
from kindred.vectors.aliases import point_aliases
from kindred.vectors.collections import ensure_collections
from kindred.vectors.index import Index
from kindred.vectors.names import CollectionNames
from kindred.vectors.seen import SeenItems
from servers.ladder import first_of
from servers.sources import qdrant

_NAMES = CollectionNames("quality")
_K = 10
_USERS_AT_ONCE = 1_000


def measured(embedder: Embedder, log: EventLog, declaration: Declaration, kept: int) -> dict[str, object]:
    """HR@10 and NDCG@10 of each user's last target, only the newest `kept` interactions known and seen."""
    source: list[str] = []
    with first_of(qdrant(), lambda name, _: source.append(name)) as url:
        client = QdrantClient(url, timeout=60)
        _write(client, embedder, log, declaration, kept)
        ranks = _ranks(KindredClient(url, namespace="quality", timeout_seconds=60), log, declaration)
    return {
        "hr@10": float(hits(ranks, _K).mean()),
        "ndcg@10": float(discounted(ranks, _K).mean()),
        "kept": kept,
        "server": source[0],
    }


def _write(
    client: QdrantClient, embedder: Embedder, log: EventLog, declaration: Declaration, kept: int
) -> None:
    index = Index(client, _NAMES, declaration)
    ensure_collections(client, _NAMES, embedder.name, embedder.dimension, declaration)
    catalogue, seen = log.catalogue(), SeenItems(declaration.seen_types)
    embedder.update_items(catalogue)
    seen.update_items(catalogue)
    index.write_items(embedder.name, catalogue, embedder.embed_items(catalogue), 1)
    for cases in _chunks(leave_one_out(log, declaration)):
        histories = log.histories(cases, limit=kept)
        index.write_users(embedder.name, histories, embedder.embed(histories), seen.of(histories), 1, 0)
    point_aliases(client, _NAMES, embedder.name)


def _ranks(kindred: KindredClient, log: EventLog, declaration: Declaration) -> NDArray[np.int64]:
    """Place of each user's target among the ten that are recommended; 11 where it is none of them."""
    cases = leave_one_out(log, declaration)
    ranks = np.full(len(cases), _K + 1)
    for row, (user, item) in enumerate(zip(log.users[cases], log.items[cases], strict=True)):
        found = [match.id for match in kindred.recommend(log.user_ids[user], limit=_K)]
        if log.item_ids[item] in found:
            ranks[row] = 1 + found.index(log.item_ids[item])
    return ranks


def _chunks(cases: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(cases), _USERS_AT_ONCE):
        yield cases[start : start + _USERS_AT_ONCE]
