"""What bytes are thrown at. A target returns, or raises because a promise is broken: then that is a bug.

`make fuzz` throws bytes guided by coverage; `make test` those that were of use, or did harm once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fuzz.checkpoints import a_manifest, a_vocabulary, a_weights_file, an_anchor
from fuzz.records import Target, a_record, any_json, any_time

# Each is given a folder for its files.
TARGETS: dict[str, Callable[[Path], Target]] = {
    "interactions": lambda _: a_record("interactions"),
    "users": lambda _: a_record("users"),
    "items": lambda _: a_record("items"),
    "json": lambda _: any_json,
    "times": lambda _: any_time,
    "manifest": a_manifest,
    "vocabulary": a_vocabulary,
    "weights": a_weights_file,
    "anchor": an_anchor,
}
