"""A worker's wall clock may jump by days, and decides nothing: history/clocks.py says what does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import kindred

SERVICE = Path(kindred.__file__).parent
WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
# The moment at which a batch became searchable, for a metric.
MAY = {"pipeline.py"}
IN_A_WORKER = ["*.py", "events/*.py", "history/*.py", "embedding/*.py", "vectors/*.py", "operations/*.py"]
# What `kindred produce` stamps on lines without a time.
NO_PART_OF_IT = {"events/lines.py"}


def test_no_part_of_a_worker_asks_the_wall_clock() -> None:
    asked = {
        name
        for pattern in IN_A_WORKER
        for path in SERVICE.glob(pattern)
        if (name := str(path.relative_to(SERVICE))) not in NO_PART_OF_IT
        and WALL_CLOCKS.intersection(_called(path))
    }
    assert asked == MAY


def _called(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)
