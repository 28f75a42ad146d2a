"""A checkpoint: a directory with weights (safetensors), vocabulary and a manifest. Never pickle.

The manifest holds the SHA-256 and size of every other file, so a worker refuses what was altered,
and names nothing outside the directory. The model's name comes from its date and its files' digests.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as dump_tensors

from kindred.declaration import as_dict, from_dict
from kindred.embedding.features import Vocabulary
from kindred.embedding.model import Model, build
from kindred.embedding.options import TowerOptions
from kindred.errors import ModelMismatch

FORMAT = 1
MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
VOCABULARY = "vocabulary.json"
_FILES = frozenset({WEIGHTS, VOCABULARY})
_MAX_MANIFEST_BYTES = 4 * 2**20
_NAME = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file of the checkpoint must be."""

    sha256: str
    bytes: Annotated[int, msgspec.Meta(ge=0, le=2**36)]


class TrainingRange(msgspec.Struct, frozen=True):
    """The log that a model was trained on; times in microseconds since the Unix epoch."""

    interactions: int = 0
    users: int = 0
    items: int = 0
    first_us: int | None = None
    last_us: int | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything about a model but its numbers."""

    format: int
    name: str
    created_at: str  # RFC 3339
    dimension: int
    max_length: int
    towers: TowerOptions
    declaration: dict[str, Any]
    trained_on: TrainingRange
    metrics: dict[str, float]
    files: dict[str, FileEntry]


def save(
    model: Model,
    directory: Path,
    *,
    now: datetime,
    trained_on: TrainingRange | None = None,
    metrics: dict[str, float] | None = None,
) -> Manifest:
    """Write a checkpoint to `directory`, replacing what is there, by one rename at the end."""
    contents = {WEIGHTS: _weights(model), VOCABULARY: msgspec.json.encode(model.encoder.vocabulary)}
    files = {name: _entry(content) for name, content in contents.items()}
    manifest = Manifest(
        format=FORMAT,
        name=_derived_name(now, files),
        created_at=now.astimezone(UTC).isoformat(),
        dimension=model.options.dimension,
        max_length=model.options.max_length,
        towers=model.options,
        declaration=as_dict(model.declaration),
        trained_on=trained_on or TrainingRange(),
        metrics=metrics or {},
        files=files,
    )
    contents[MANIFEST] = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    _write_directory(directory, contents)
    return manifest


def load(directory: Path) -> tuple[Model, Manifest]:
    """Read a checkpoint and verify every file. Raises ModelMismatch, naming file and fault."""
    manifest = read_manifest(directory)
    contents = {name: _read_verified(directory, name, entry) for name, entry in manifest.files.items()}
    try:
        vocabulary = msgspec.json.decode(contents[VOCABULARY], type=Vocabulary)
        model = build(from_dict(manifest.declaration), vocabulary, manifest.towers)
        model.towers.load_state_dict(parse_tensors(contents[WEIGHTS]))
    except (msgspec.DecodeError, SafetensorError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelMismatch(
            f"The checkpoint {directory} does not fit together ({reason}): {_RETRY}"
        ) from error
    return model, manifest


def read_manifest(directory: Path) -> Manifest:
    """The manifest alone, its fields checked, the files not. Raises ModelMismatch."""
    content = _read(directory, MANIFEST, _MAX_MANIFEST_BYTES)
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise ModelMismatch(f"{directory / MANIFEST} is not a manifest ({error}): {_RETRY}") from error
    fault = _fault(manifest)
    if fault:
        raise ModelMismatch(f"{directory / MANIFEST} {fault}: {_RETRY}")
    return manifest


_RETRY = "copy the checkpoint again, or train a new one with `kindred train`."


def _fault(manifest: Manifest) -> str | None:
    if manifest.format != FORMAT:
        return f"has format {manifest.format}, this version of Kindred reads format {FORMAT}"
    if not _NAME.fullmatch(manifest.name):
        return f"gives the model the name {manifest.name!r}, which cannot be part of a collection's name"
    if set(manifest.files) != _FILES:
        return f"lists the files {sorted(manifest.files)} instead of {sorted(_FILES)}"
    sizes = (manifest.dimension, manifest.max_length)
    if sizes != (manifest.towers.dimension, manifest.towers.max_length):
        return "contradicts itself about dimension or length"
    if manifest.towers.width % manifest.towers.heads:
        return "has towers whose heads do not divide their width"
    return None


def _read_verified(directory: Path, name: str, entry: FileEntry) -> bytes:
    content = _read(directory, name, entry.bytes)
    if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise ModelMismatch(f"{directory / name} is not the file that its manifest describes: {_RETRY}")
    return content


def _read(directory: Path, name: str, limit_bytes: int) -> bytes:
    path = directory / name
    if path.is_symlink():
        raise ModelMismatch(f"{path} is a link; a checkpoint holds plain files only: {_RETRY}")
    try:
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except OSError as error:
        raise ModelMismatch(f"{path} cannot be read ({error.strerror}): {_RETRY}") from error
    if len(content) > limit_bytes:
        raise ModelMismatch(f"{path} is larger than the {limit_bytes} bytes it may have: {_RETRY}")
    return content


def _weights(model: Model) -> bytes:
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.towers.state_dict().items()}
    return dump_tensors(weights)


def _entry(content: bytes) -> FileEntry:
    return FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _derived_name(now: datetime, files: dict[str, FileEntry]) -> str:
    digests = "".join(files[name].sha256 for name in sorted(files))
    return f"m{now.astimezone(UTC):%Y%m%d}-{hashlib.sha256(digests.encode()).hexdigest()[:8]}"


def _write_directory(directory: Path, contents: dict[str, bytes]) -> None:
    # Written aside and renamed: an interrupted save leaves no half checkpoint under the final name.
    directory.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    aside.chmod(0o755)
    for name, content in contents.items():
        (aside / name).write_bytes(content)
    if directory.exists():
        shutil.rmtree(directory)
    aside.rename(directory)
