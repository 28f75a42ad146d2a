"""What fuzzing begins with, and what it has found: no target breaks its promise on any of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.seeds import FOUND, seeds
from fuzz.targets import TARGETS
from fuzz.words import WORDS, dictionary


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_keeps_its_promise(name: str, tmp_path: Path) -> None:
    target = TARGETS[name](tmp_path)
    inputs = seeds(name, tmp_path)
    assert len(inputs) > 1
    for each in inputs:
        target(each)
        target(each[: len(each) // 2])


def test_what_was_found_belongs_to_a_target() -> None:
    assert {folder.name for folder in FOUND.iterdir()} <= TARGETS.keys()


def test_every_word_can_be_read() -> None:
    assert len(dictionary().splitlines()) == len(WORDS)
