"""Qdrant against what must be there: every point of every model that is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faults.expected import Expected, ExpectedItem
from faults.findings import Findings
from faults.in_postgres import Rows, reaped_since
from faults.life import Life
from faults.payloads import item_payload, point_id, user_payload
from faults.vectors import Reference
from kindred.composition import Servers

MODELS = "SELECT name, state, checkpoint FROM model WHERE state <> 'retired'"
PAGE_POINTS = 2_000
TOLERANCE = 1e-5  # fp32, in other batches
LEAST_COSINE = 0.999  # of what a lower precision serves

Points = dict[int | str, Any]


def compare_qdrant(servers: Servers, wanted: Expected, rows: Rows, findings: Findings) -> None:
    """Note every difference. In full precision vectors must be equal, else nearly parallel."""
    with servers.database.transaction() as connection:
        models = connection.execute(MODELS).fetchall()
    for name, state, checkpoint in models:
        reference = Reference(Path(checkpoint), wanted, servers.settings.postgres.history_limit)
        comparison = _Comparison(servers, wanted, name, reference, findings)
        comparison.users(rows)
        comparison.items(rows)
        if state == "live":
            comparison.aliases()


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One model's two collections."""

    servers: Servers
    wanted: Expected
    model: str
    reference: Reference
    findings: Findings

    def users(self, rows: Rows) -> None:
        points = self._points(self.servers.names.users(self.model))
        ids = {user_id: point_id(user_id) for user_id in self.wanted.lives.keys() - rows.reaped}
        missing = {user_id for user_id, id_ in ids.items() if id_ not in points}
        for user_id in reaped_since(self.servers, self.wanted, missing):
            del ids[user_id]
        self.findings.keys("user's point", _texts(points), _texts(ids.values()))
        limit = self.servers.settings.postgres.history_limit
        for user_id, id_ in ids.items():
            if id_ in points:
                life = self.wanted.lives.get(user_id, Life())
                payload = user_payload(self.servers.declaration, life, user_id, limit)
                self._user(user_id, points[id_].payload, payload, rows.users.get(user_id))
        alive = [user_id for user_id in sorted(ids) if not self.wanted.lives[user_id].is_erased]
        self._vectors("user", {user_id: points.get(ids[user_id]) for user_id in alive})
        self._tombstones("user", [points.get(ids[user_id]) for user_id in ids.keys() - set(alive)])

    def items(self, rows: Rows) -> None:
        points = self._points(self.servers.names.items(self.model))
        ids = {item_id: point_id(item_id) for item_id in self.wanted.items}
        self.findings.keys("item's point", _texts(points), _texts(ids.values()))
        for item_id, id_ in ids.items():
            if id_ in points:
                item = self.wanted.items.get(item_id, ExpectedItem())
                payload = item_payload(self.servers.declaration, item, item_id)
                self._item(item_id, points[id_].payload, payload, rows.items.get(item_id, 0))
        alive = [item_id for item_id in sorted(ids) if not self.wanted.items[item_id].is_removed]
        self._vectors("item", {item_id: points.get(ids[item_id]) for item_id in alive})
        self._tombstones("item", [points.get(ids[item_id]) for item_id in ids.keys() - set(alive)])

    def aliases(self) -> None:
        names = self.servers.names
        found = {each.alias_name: each.collection_name for each in self.servers.qdrant.get_aliases().aliases}
        for alias, collection in (
            (names.users_alias, names.users(self.model)),
            (names.items_alias, names.items(self.model)),
        ):
            self.findings.compare("alias", alias, found.get(alias), collection)

    def _user(self, user_id: str, found: dict[str, Any], must: dict[str, Any], revision: int | None) -> None:
        must = must | {"revision": revision}
        if "erased" not in must:
            must |= {"model": self.model}
            self._present("user's payload", user_id, found, "embedded_at", str)
            found = {name: value for name, value in found.items() if name != "embedded_at"}
        self._payload("user's payload", user_id, found, must)

    def _item(self, item_id: str, found: dict[str, Any], must: dict[str, Any], revision: int) -> None:
        # Written again for another reason than its own change, an item keeps the revision of its row.
        if found.get("revision", -1) < revision:
            self.findings.note("item's revision", f"{item_id}: is {found.get('revision')}, row {revision}")
        found = {name: value for name, value in found.items() if name != "revision"}
        if "erased" not in must:
            must = must | {"model": self.model}
            self._present("item's payload", item_id, found, "popularity", (int, float))
            found.pop("popularity", None)
        self._payload("item's payload", item_id, found, must)

    def _payload(self, kind: str, who: str, found: dict[str, Any], must: dict[str, Any]) -> None:
        for name in sorted(found.keys() | must.keys()):
            self.findings.compare(f"{kind}, {name}", who, found.get(name, "absent"), must.get(name, "absent"))

    def _present(self, kind: str, who: str, found: dict[str, Any], name: str, type_: Any) -> None:
        if not isinstance(found.get(name), type_):
            self.findings.note(f"{kind}, {name}", f"{who}: is {found.get(name, 'absent')!r}")

    def _vectors(self, kind: str, points: Mapping[str, Any]) -> None:
        there = {who: point.vector for who, point in points.items() if point is not None and point.vector}
        for who in points.keys() - there.keys():
            if points[who] is not None:
                self.findings.note(f"{kind}'s vector", f"{who}: the point has none")
        who = sorted(there)
        must = (self.reference.users if kind == "user" else self.reference.items)(who)
        found = np.array([there[each] for each in who], np.float32).reshape(must.shape)
        for place in np.flatnonzero(self._distances(found, must) > self._allowed):
            distance = self._distances(found, must)[place]
            self.findings.note(f"{kind}'s vector", f"{who[place]}: is {distance:.2g} from what it must be")

    @property
    def _allowed(self) -> float:
        is_full = self.servers.settings.worker.dtype == "float32"
        return TOLERANCE if is_full else 1 - LEAST_COSINE

    def _distances(self, found: NDArray[np.float32], must: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,): largest difference of a component, or one minus the cosine for a lower precision."""
        if self.servers.settings.worker.dtype == "float32":
            return np.abs(found.astype(np.float64) - must).max(axis=1, initial=0)
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(must, axis=1)
        return 1 - (found.astype(np.float64) * must).sum(axis=1) / lengths

    def _tombstones(self, kind: str, points: list[Any]) -> None:
        for point in points:
            if point is not None and point.vector:
                self.findings.note(f"{kind}'s tombstone", f"{point.payload} has a vector")

    def _points(self, collection: str) -> Points:
        return {point.id: point for page in self._pages(collection) for point in page}

    def _pages(self, collection: str) -> Iterator[list[Any]]:
        page: Any = None
        while True:
            found, page = self.servers.qdrant.scroll(
                collection, limit=PAGE_POINTS, offset=page, with_payload=True, with_vectors=True
            )
            yield found
            if page is None:
                return


def _texts(ids: Any) -> set[str]:
    return {str(each) for each in ids}
