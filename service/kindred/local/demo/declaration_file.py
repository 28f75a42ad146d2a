"""A declaration as the TOML text that KINDRED_DECLARATION names."""

from __future__ import annotations

import json
from collections.abc import Iterator

from kindred.declaration import Declaration, as_dict


def to_toml(declaration: Declaration) -> str:
    """The inverse of `declaration.parse`."""
    return "\n".join(_lines(declaration)) + "\n"


def _lines(declaration: Declaration) -> Iterator[str]:
    sections = as_dict(declaration)
    yield f"user_id_buckets = {sections.pop('user_id_buckets')}"
    for section, entries in sections.items():
        for name, fields in entries.items():
            yield f"[{section}.{_literal(name)}]"
            yield from (f"{key} = {_literal(value)}" for key, value in fields.items())


def _literal(value: object) -> str:
    # JSON's strings, integers and booleans are TOML's too (https://toml.io/en/v1.0.0#string).
    return json.dumps(value, ensure_ascii=False)
