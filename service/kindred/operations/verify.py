"""`kindred verify`: does Qdrant hold what Postgres says, and nothing else? Beside running workers.

Revisions tell: a point at its row's revision was made of that row. What looks wrong is looked at again after
a while, for a batch may be between its transaction and its upsert.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from kindred.history import audit
from kindred.history.audit import Kind, Row
from kindred.history.connection import Database
from kindred.vectors.points import Point, Points

SLICE_ROWS = 1_000
PATIENCE_SECONDS = 5.0

Fault = Literal["missing", "stale", "ahead", "not_a_tombstone", "a_tombstone", "surplus", "wrong_vector"]


@dataclass(slots=True)
class Findings:
    """Faults by model and kind, the first few ids of each, and how much was compared."""

    compared: Counter[str] = field(default_factory=Counter)
    vectors: Counter[str] = field(default_factory=Counter)  # computed again (vector_check.py)
    faults: Counter[tuple[str, Kind, Fault]] = field(default_factory=Counter)
    examples: dict[tuple[str, Kind, Fault], list[str]] = field(default_factory=dict)

    def note(self, model: str, kind: Kind, found: Mapping[str, Fault]) -> None:
        for external_id, fault in found.items():
            key = (model, kind, fault)
            self.faults[key] += 1
            if len(examples := self.examples.setdefault(key, [])) < 5:
                examples.append(external_id)


@dataclass(frozen=True, slots=True)
class Verification:
    """One pass over models that are written. All methods raise Outage or CollectionGone."""

    database: Database
    points: Points
    repairs: bool = False
    wait: Callable[[float], None] = time.sleep

    def run(self, models: Iterable[str]) -> Findings:
        """Compare users and items of every model; ask for repair where that was wanted."""
        findings = Findings()
        for model in models:
            for kind in get_args(Kind):
                self._compare_rows(model, kind, findings)
                self._compare_points(model, kind, findings)
        return findings

    def _compare_rows(self, model: str, kind: Kind, findings: Findings) -> None:
        after = ""
        while rows := audit.slice_after(self.database, kind, after, SLICE_ROWS):
            after = rows[-1][0]
            findings.compared[kind] += len(rows)
            found = self._faults(model, kind, rows)
            if found:
                self.wait(PATIENCE_SECONDS)
                found = self._lasting(model, kind, found, rows)
            findings.note(model, kind, found)
            if self.repairs and found:
                audit.request(self.database, kind, list(found))

    def _faults(self, model: str, kind: Kind, rows: Sequence[Row]) -> dict[str, Fault]:
        points = self.points.revisions(model, kind, [row[0] for row in rows])
        faults = {row[0]: _fault(kind, row, points.get(row[0])) for row in rows}
        return {external_id: fault for external_id, fault in faults.items() if fault is not None}

    def _lasting(
        self, model: str, kind: Kind, found: Mapping[str, Fault], seen: Sequence[Row]
    ) -> dict[str, Fault]:
        """Those of rows that nobody has written since, and that are still wrong."""
        now = audit.rows(self.database, kind, list(found))
        return self._faults(model, kind, [row for row in seen if row[0] in found and now.get(row[0]) == row])

    def _compare_points(self, model: str, kind: Kind, findings: Findings) -> None:
        """Qdrant first, then Postgres: a row that is there now was never missing (rule 26)."""
        for page in self.points.pages(model, kind):
            rows = audit.rows(self.database, kind, [point.external_id for point in page])
            surplus = [point for point in page if point.external_id not in rows]
            findings.note(model, kind, dict.fromkeys([point.external_id for point in surplus], "surplus"))
            if self.repairs and surplus:
                self.points.delete_surplus(model, kind, surplus)


def _fault(kind: Kind, row: Row, point: Point | None) -> Fault | None:
    _, revision, is_tombstone = row
    if point is None:
        return "missing"
    if point.revision < revision:
        return "stale"
    # An item that is written again keeps the revision of its row.
    if point.revision > revision and kind == "user":
        return "ahead"
    if is_tombstone != point.erased:
        return "not_a_tombstone" if is_tombstone else "a_tombstone"
    return None
