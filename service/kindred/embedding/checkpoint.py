"""A checkpoint: a directory with weights (safetensors), vocabulary and a manifest. Never pickle.

The manifest holds the SHA-256 and size of every other file, so a worker refuses what was altered,
and names nothing outside the directory. The model's name comes from its date and its files' digests.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from safetensors import SafetensorError

from kindred.declaration import as_dict, from_dict
from kindred.embedding import plain_files, soundness, weights
from kindred.embedding.anchor import Anchor
from kindred.embedding.anchor import dump as dump_anchor
from kindred.embedding.anchor import parse as parse_anchor
from kindred.embedding.features import Vocabulary
from kindred.embedding.manifest import (
    ALIGNABLE,
    ANCHOR_IDS,
    ANCHOR_VECTORS,
    FORMAT,
    VOCABULARY,
    WEIGHTS,
    FileEntry,
    HeldOut,
    Lineage,
    Manifest,
    TrainingRange,
    TrainingRun,
    fault,
)
from kindred.embedding.model import Model, blank
from kindred.embedding.plain_files import refusal
from kindred.errors import Misconfigured
from kindred.safe_text import visible

MANIFEST = "manifest.json"
_MAX_MANIFEST_BYTES = 4 * 2**20
_LONGEST_REASON = 200


def save(
    model: Model,
    directory: Path,
    *,
    now: datetime,
    trained_on: TrainingRange | None = None,
    metrics: dict[str, float] | None = None,
    held_out: HeldOut | None = None,
    training: TrainingRun | None = None,
    lineage: Lineage | None = None,
    anchor: Anchor | None = None,
) -> Manifest:
    """Write a checkpoint to `directory`, replacing one that is there, by renames at the end."""
    check_replaceable(directory)
    contents = {
        WEIGHTS: weights.dump(model.towers),
        VOCABULARY: msgspec.json.encode(model.encoder.vocabulary),
    }
    if anchor is not None:
        contents |= dump_anchor(anchor)
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
        held_out=held_out or HeldOut(),
        training=training or TrainingRun(),
        lineage=lineage or Lineage(),
    )
    contents[MANIFEST] = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    _write_directory(directory, contents)
    return manifest


def check_replaceable(directory: Path) -> None:
    """Raises Misconfigured where something else than a checkpoint would be lost, or a link be replaced."""
    if directory.is_symlink():
        raise Misconfigured(f"{directory} is a link: name the folder itself for the checkpoint.")
    is_free = not directory.exists() or (directory.is_dir() and not any(directory.iterdir()))
    if not is_free and not (directory / MANIFEST).is_file():
        raise Misconfigured(f"{directory} is there and no checkpoint: name another folder, or empty it.")


def load(directory: Path) -> tuple[Model, Manifest]:
    """Read a checkpoint and verify every file. Raises ModelMismatch, naming file and fault."""
    manifest = read_manifest(directory)
    contents = {name: _read_verified(directory, name, entry) for name, entry in manifest.files.items()}
    try:
        return assembled(manifest, contents[VOCABULARY], contents[WEIGHTS]), manifest
    except _UNSOUND as error:
        raise refusal(directory, f"does not fit together ({_reason(error)})") from error


def load_anchor(directory: Path) -> Anchor | None:
    """What holds the checkpoint's vector space in place; None where it has none. Raises ModelMismatch."""
    manifest = read_manifest(directory, ALIGNABLE)
    if ANCHOR_IDS not in manifest.files:
        return None
    names = (ANCHOR_IDS, ANCHOR_VECTORS)
    try:
        return parse_anchor({name: _read_verified(directory, name, manifest.files[name]) for name in names})
    except (KeyError, *_UNSOUND) as error:
        raise refusal(directory, f"has no sound anchor ({_reason(error)})") from error


def read_manifest(directory: Path, formats: Collection[int] = (FORMAT,)) -> Manifest:
    """The manifest alone, its fields checked, the files not. Raises ModelMismatch."""
    path = directory / MANIFEST
    content = plain_files.read(path, limit_bytes=_MAX_MANIFEST_BYTES)
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except _UNSOUND as error:
        raise refusal(path, f"is not a manifest ({_reason(error)})") from error
    if found := fault(manifest, formats):
        raise refusal(path, found)
    return manifest


def assembled(manifest: Manifest, vocabulary: bytes, weights_content: bytes) -> Model:
    """The model in these bytes. Raises one of many errors where they do not belong together."""
    declaration = from_dict(manifest.declaration)
    known = msgspec.json.decode(vocabulary, type=Vocabulary)
    soundness.check(known, declaration)
    model = blank(declaration, known, manifest.towers)
    weights.fill(model.towers, weights_content)
    return model


# All that the parsers raise; RuntimeError also for JSON nested too deep, ValueError for text not in UTF-8.
_UNSOUND = (msgspec.DecodeError, SafetensorError, RuntimeError, ValueError)


def _reason(error: Exception) -> str:
    # Some parsers repeat what they could not read, which may be anything, of any length.
    reason = " ".join(str(error).split())[:_LONGEST_REASON]
    return visible(reason)[:_LONGEST_REASON] or type(error).__name__  # made visible, one may be four


def _read_verified(directory: Path, name: str, entry: FileEntry) -> bytes:
    path = directory / name
    content = plain_files.read(path, limit_bytes=entry.bytes)
    if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise refusal(path, "is not the file that its manifest describes")
    return content


def _entry(content: bytes) -> FileEntry:
    return FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _derived_name(now: datetime, files: dict[str, FileEntry]) -> str:
    digests = "".join(files[name].sha256 for name in sorted(files))
    return f"m{now.astimezone(UTC):%Y%m%d}-{hashlib.sha256(digests.encode()).hexdigest()[:8]}"


def _write_directory(directory: Path, contents: dict[str, bytes]) -> None:
    # Written aside and renamed: an interrupted save leaves no half checkpoint under the final name, and
    # the one before is deleted last, under another.
    directory.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    aside.chmod(0o755)
    for name, content in contents.items():
        (aside / name).write_bytes(content)
    if not directory.exists():
        aside.rename(directory)
        return
    replaced = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    directory.rename(replaced)  # over an empty folder, as rename may
    try:
        aside.rename(directory)
    except BaseException:
        replaced.rename(directory)
        raise
    shutil.rmtree(replaced)
