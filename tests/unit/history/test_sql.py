"""No statement is put together from what comes in: values go beside it, names through `sql.Identifier`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kindred.settings import load_settings

ROOT = Path(__file__).parents[3]
FILES = sorted([*(ROOT / "service").rglob("*.py"), *(ROOT / "migrations").rglob("*.py")])
STATEMENT = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|DROP|ALTER|TRUNCATE|LOCK|GRANT|REVOKE|SET LOCAL)\b"
)
CONSTANT = re.compile(r"[A-Z_][A-Z0-9_]*(\[\w+\])?|(locks|letters)\.[A-Z_]+")
# What stands in a statement without being a constant, and cannot be anything either.
KNOWN = {
    ("audit.py", "kind"): "one of two words, as a type",
    ("privileges.py", "kind"): "TABLES or SEQUENCES, from a constant",
    ("privileges.py", "', '.join(allowed)"): "from a constant",
    ("punctual.py", "int(seconds * 1000)"): "a number",
}


def interpolated() -> Iterator[tuple[str, str]]:
    """File and expression, for each that a statement is put together from."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr) and STATEMENT.search(_text(node)):
                for value in node.values:
                    if isinstance(value, ast.FormattedValue):
                        yield path.name, ast.unparse(value.value)


def _text(node: ast.JoinedStr) -> str:
    return "".join(str(value.value) for value in node.values if isinstance(value, ast.Constant))


def test_statements_are_made_of_constants() -> None:
    found = set(interpolated())
    assert len(found) > 10  # else this looks in the wrong place
    assert {each for each in found if not CONSTANT.fullmatch(each[1])} == KNOWN.keys()


def test_statements_are_not_formatted_in_other_ways() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            percent = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add)
            if percent and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
                assert not STATEMENT.search(node.left.value), f"{path}:{node.lineno}"


@pytest.mark.parametrize("name", ['x"; DROP SCHEMA public; --', "a b", "x\\", "", "x" * 64, "x\n"])
def test_a_schema_is_a_plain_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINDRED_POSTGRES__SCHEMA_NAME", name)
    with pytest.raises(Exception, match="KINDRED_POSTGRES__SCHEMA_NAME"):
        load_settings(_env_file=None)
