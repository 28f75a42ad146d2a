"""What a service takes on that installs the client."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kindred.client import KindredClient
from kindred.errors import Outage


def test_the_client_needs_neither_torch_nor_sql() -> None:
    heavy = "{'torch', 'sqlalchemy', 'psycopg', 'kafka', 'msgspec'}"
    program = f"import sys, kindred.client; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"


def test_an_unreachable_server_is_an_outage() -> None:
    with (
        KindredClient("http://127.0.0.1:1", timeout_seconds=1) as kindred,
        pytest.raises(Outage, match="qdrant"),
    ):
        kindred.recommend("ada")
