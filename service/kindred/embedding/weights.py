"""Weights as safetensors (https://huggingface.co/docs/safetensors): compared with the towers they are for.

A file is 8 bytes with the length of a JSON header, the header, then the tensors. Only where the header names
the very tensors of these towers does a tensor get any memory.
"""

from __future__ import annotations

from reprlib import repr as short

import msgspec
import torch
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor

from kindred.embedding.towers import Towers

MAX_HEADER_BYTES = 2**20
_LENGTH_BYTES = 8
_DTYPE = "F32"


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def dump(towers: Towers) -> bytes:
    """All parameters, as they are on the CPU."""
    return dump_tensors(
        {name: tensor.detach().cpu().contiguous() for name, tensor in towers.state_dict().items()}
    )


def fill(towers: Towers, content: bytes) -> None:
    """Give towers that were made on the meta device these weights.

    Raises ValueError, SafetensorError or msgspec.DecodeError where they are not of these towers, not float32,
    or not finite.
    """
    header = _header(content)
    expected = {name: tuple(tensor.shape) for name, tensor in towers.state_dict().items()}
    if header.keys() != expected.keys():
        raise ValueError(f"the weights are of other towers: {short(sorted(header.keys() ^ expected.keys()))}")
    for name, entry in header.items():
        _check(name, entry, expected[name])
    tensors = parse_tensors(content)
    for name, tensor in tensors.items():
        if not _is_finite(tensor):
            raise ValueError(f"{name} holds NaN or infinity")
    towers.load_state_dict(tensors, assign=True)


def _header(content: bytes) -> dict[str, _Entry]:
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if length > min(MAX_HEADER_BYTES, len(content) - _LENGTH_BYTES):
        raise ValueError(f"the weights' header would have {length} bytes, in a file of {len(content)}")
    header = content[_LENGTH_BYTES : _LENGTH_BYTES + length]
    return msgspec.json.decode(header, type=dict[str, _Entry])


def _check(name: str, entry: _Entry, shape: tuple[int, ...]) -> None:
    if entry.dtype != _DTYPE:
        raise ValueError(f"{name} is {short(entry.dtype)}, not {_DTYPE}")
    if tuple(entry.shape) != shape:
        raise ValueError(f"{name} has shape {short(entry.shape)}, the towers need {list(shape)}")


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
