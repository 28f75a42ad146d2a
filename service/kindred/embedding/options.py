"""Sizes of the towers, which their manifest repeats."""

from __future__ import annotations

from typing import Annotated

import msgspec

# Bounds, because a manifest from elsewhere sets them.
_Size = Annotated[int, msgspec.Meta(ge=1, le=4096)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=64)]
_Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class TowerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes of the towers, and what training does to them. `heads` must divide `width` into even parts."""

    dimension: _Size = 64  # d, of the vectors that are served
    width: _Size = 64  # w, inside
    blocks: _Count = 2
    heads: _Count = 1  # measured: ranks no worse than two at this width, and is a fifth faster
    feed_forward: _Size = 64
    max_length: _Size = 50  # L, newest interactions that are read
    dropout: _Share = 0.1
    id_dropout: _Share = 0.1
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 0.07
