"""Checkpoints with a file damaged anywhere, under a manifest that vouches for it: refused, or a model."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.checkpoints import Checkpoint
from fuzz.words import WORDS
from kindred.embedding.checkpoint import MANIFEST
from kindred.embedding.manifest import ANCHOR_IDS, ANCHOR_VECTORS, VOCABULARY, WEIGHTS

FILES = [MANIFEST, VOCABULARY, WEIGHTS, ANCHOR_IDS, ANCHOR_VECTORS]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return Checkpoint(tmp_path_factory.mktemp("sound") / "model")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(FILES), st.data())
def test_whatever_stands_in_a_file_is_refused_or_a_model(
    sound: Checkpoint, name: str, draw: st.DataObject
) -> None:
    content = bytearray(sound.files[name])
    for _ in range(draw.draw(st.integers(1, 3))):
        start = draw.draw(st.integers(0, len(content)))
        end = start + draw.draw(st.integers(0, 16))
        content[start:end] = draw.draw(st.sampled_from(WORDS) | st.binary(max_size=8))
    sound.load(name, bytes(content))
    sound.load(name, sound.files[name])
