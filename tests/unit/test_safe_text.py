"""Passwords within addresses are never shown, however they are written."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.safe_text import masked, visible

SECRETS = st.text(min_size=6, max_size=20).map(lambda text: f"S3{text}")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://ann@host:5432/db?sslmode=require", "postgresql://ann@host:5432/db?sslmode=require"),
        ("host=db user=ann sslmode=verify-full", "host=db user=ann sslmode=verify-full"),
        ("postgresql://ann:s3cret@host/db", "postgresql://ann:***@host/db"),
        ("postgresql://:s3cret@host/db", "postgresql://:***@host/db"),
        ("postgresql://ann:s3/cr?e#t@host/db", "postgresql://ann:***@host/db"),
        (
            "postgresql://ann@host/db?sslpassword=s3cret&user=a",
            "postgresql://ann@host/db?sslpassword=***&user=a",
        ),
        ("postgresql://ann@host/db?pasword=s3cret", "postgresql://ann@host/db?pasword=***"),
        ("postgresql://ann@host/db?p%61ssword=s3cret", "postgresql://ann@host/db?p%61ssword=***"),
        (r"password = 's3 \'cret' host=db", "password = *** host=db"),
        (r"host=db password=s3\ cret user=ann", "host=db password=*** user=ann"),
        ("host=db password='s3cret without an end", "host=db password=***"),
        ("https://tokens/?client_secret=s3cret", "https://tokens/?client_secret=***"),
        ("http://qdrant:6333?api-key=s3cret", "http://qdrant:6333?api-key=***"),
    ],
)
def test_what_is_shown_of_an_address(address: str, shown: str) -> None:
    assert masked(address) == shown


@given(SECRETS)
def test_a_password_in_a_url_raw_or_encoded(secret: str) -> None:
    raw = secret.replace("@", "")  # the last @ ends it
    for written in (raw, quote(secret, safe="")):
        assert written not in masked(f"postgresql://ann:{written}@host/db")
    assert quote(secret, safe="") not in masked(f"postgresql://host/db?password={quote(secret, safe='')}")


@given(SECRETS)
def test_a_password_in_a_connection_string(secret: str) -> None:
    quoted = secret.replace("\\", "\\\\").replace("'", "\\'")
    shown = masked(f"host=db password='{quoted}' user=ann")
    assert shown == "host=db password=*** user=ann"


def test_text_is_shown_on_one_line_and_obeyed_by_no_terminal() -> None:
    assert visible("Ann\n\x1b[2J\u202e \ud800 é😀") == r"Ann\n\x1b[2J\u202e \ud800 é😀"
