"""What is in use, as the C library tells it."""

from __future__ import annotations

import gc
import math

import pytest
import torch

from kindred.memory import native_bytes

MEGABYTES = 50


@pytest.mark.skipif(math.isnan(native_bytes()), reason="this C library does not tell")
def test_a_tensor_counts_while_it_lives() -> None:
    gc.collect()
    before = native_bytes()
    tensor = torch.ones(MEGABYTES * 1_000_000 // 4)
    held = native_bytes()
    del tensor
    assert held - before > 0.9 * MEGABYTES * 1e6
    assert native_bytes() - before < 0.1 * MEGABYTES * 1e6
