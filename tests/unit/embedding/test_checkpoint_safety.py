"""Checkpoints that somebody else made: a worker reads what is sound, and says what is wrong with the rest."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as dump_tensors

from kindred.embedding import checkpoint, plain_files, weights
from kindred.embedding.anchor import Anchor
from kindred.embedding.manifest import ANCHOR_IDS, ANCHOR_VECTORS, MAX_BYTES, VOCABULARY, WEIGHTS
from kindred.embedding.model import Model
from kindred.errors import Misconfigured, ModelMismatch

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SOURCE = Path(checkpoint.__file__).parents[1]
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.fixture
def directory(model: Model, tmp_path: Path) -> Path:
    checkpoint.save(model, tmp_path / "model", now=NOW)
    return tmp_path / "model"


def edit_manifest(directory: Path, **changes: Any) -> None:
    path = directory / checkpoint.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def replace_file(directory: Path, name: str, content: bytes) -> None:
    """Another file, with a manifest that vouches for it: digests are no signatures."""
    (directory / name).write_bytes(content)
    files = json.loads((directory / checkpoint.MANIFEST).read_text())["files"]
    files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    edit_manifest(directory, files=files)


def edit_vocabulary(directory: Path, change: Callable[[Any], Any]) -> None:
    vocabulary = json.loads((directory / VOCABULARY).read_text())
    change(vocabulary)
    replace_file(directory, VOCABULARY, json.dumps(vocabulary).encode())


def edit_weights(directory: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = parse_tensors((directory / WEIGHTS).read_bytes())
    change(tensors)
    replace_file(directory, WEIGHTS, dump_tensors(tensors))


def edit_header(directory: Path, change: Callable[[Any], Any]) -> None:
    """The header alone, in place of whatever tensors follow it."""
    content = (directory / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header = json.dumps(change(header) or header).encode()
    replace_file(directory, WEIGHTS, struct.pack("<Q", len(header)) + header + content[8 + length :])


def refused(directory: Path, match: str) -> None:
    with pytest.raises(ModelMismatch, match=match) as refusal:
        checkpoint.load(directory)
    text = str(refusal.value)
    assert text.endswith("copy the checkpoint again, or train a new one with `kindred train`.")
    assert text.isprintable()
    assert len(text) < 500


def test_no_source_file_knows_pickle() -> None:
    unsafe = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            names |= {node.module or ""} if isinstance(node, ast.ImportFrom) else set()
            assert unsafe.isdisjoint(name.split(".")[0] for name in names), path
            is_torch = isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "torch"
            assert not (is_torch and node.attr in {"load", "save"}), path
            assert not (isinstance(node, ast.keyword) and node.arg == "allow_pickle"), path


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../model.safetensors", "a/../../x", "..", "", "model.safetensors\0", "C:\\x", "\x1b[2J"],
)
def test_a_manifest_that_names_other_files_is_refused(directory: Path, name: str) -> None:
    files = json.loads((directory / checkpoint.MANIFEST).read_text())["files"]
    edit_manifest(directory, files=files | {name: files[WEIGHTS]})
    refused(directory, "lists the files")
    files[name] = files.pop(WEIGHTS)
    edit_manifest(directory, files=files)
    refused(directory, "lists the files")


@pytest.mark.parametrize("name", [checkpoint.MANIFEST, WEIGHTS, VOCABULARY])
def test_what_is_no_plain_file_is_refused_without_being_read(directory: Path, name: str) -> None:
    (directory / name).unlink()
    os.mkfifo(directory / name)  # to read it would be to wait for ever
    refused(directory, f"{name} is no plain file")
    (directory / name).unlink()
    (directory / name).mkdir()
    refused(directory, f"{name} is no plain file")
    (directory / name).rmdir()
    (directory / name).symlink_to("/dev/zero")
    refused(directory, f"{name} is a link")


def test_a_directory_may_be_reached_through_a_link(directory: Path) -> None:
    (directory.parent / "current").symlink_to(directory)
    checkpoint.load(directory.parent / "current")


@pytest.mark.parametrize("name", [checkpoint.MANIFEST, WEIGHTS, VOCABULARY])
def test_a_file_over_its_size_is_refused_before_it_is_read(
    directory: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(directory / name, 2**40)  # sparse: no disk holds it
    unpatched, opened = os.fdopen, []

    def fdopen(descriptor: int, *arguments: Any) -> Any:
        opened.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        return unpatched(descriptor, *arguments)

    monkeypatch.setattr(plain_files.os, "fdopen", fdopen)
    refused(directory, rf"{name} has {2**40} bytes, \d+ are allowed")
    assert str(directory / name) not in opened


@pytest.mark.parametrize("size", [MAX_BYTES, 2**62])
def test_a_manifest_that_announces_too_much_is_refused(directory: Path, size: int) -> None:
    files = json.loads((directory / checkpoint.MANIFEST).read_text())["files"]
    files[WEIGHTS]["bytes"] = size
    edit_manifest(directory, files=files)
    refused(directory, "announces files of")


@pytest.mark.parametrize(
    "content",
    [
        b'{"declaration": {"a": ' + DEEP + b"}}",
        b'{"unheard_of": ' + DEEP + b"}",
        b'{"name": "\xff"}',
        b'{"created_at": 1e999}',
        b'{"format": ' + b"9" * 5_000 + b"}",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b'{"\\u001b[2J' + b"x" * 5_000 + b'": 1}',
    ],
    ids=[
        "deep",
        "deep, unknown",
        "no UTF-8",
        "infinite",
        "huge",
        "byte order mark",
        "UTF-16",
        "clears the screen",
    ],
)
def test_what_is_no_manifest_is_refused(directory: Path, content: bytes) -> None:
    (directory / checkpoint.MANIFEST).write_bytes(content)
    refused(directory, "is not a manifest")


@pytest.mark.parametrize(
    "content",
    [
        DEEP,
        b'{"item_ids": [], "event_types": [], "user": {}, "item": ' + DEEP + b"}",
        b'{"item_ids": ["\xff"], "event_types": [], "user": {}, "item": {}}',
        b'{"item_ids": ["\\ud800"], "event_types": [], "user": {}, "item": {}}',
        b'{"item_ids": {}, "event_types": [], "user": {}, "item": {}}',
        b"",
        b"null",
    ],
    ids=["deep", "deep within", "no UTF-8", "a lone surrogate", "another type", "empty", "null"],
)
def test_what_is_no_vocabulary_is_refused(directory: Path, content: bytes) -> None:
    replace_file(directory, VOCABULARY, content)
    refused(directory, "does not fit together")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda known: known["item_ids"].append("film-1"), "item_ids names something twice"),
        (lambda known: known["event_types"].append("watch"), "event_types names something twice"),
        (lambda known: known["item"]["genres"]["values"].append("drama"), "names something twice"),
        (lambda known: known["item"].update(shoe_size={}), "attributes .'shoe_size'. nobody declared"),
        (lambda known: known["item"]["year"]["edges"].reverse(), "edges of item.year do not ascend"),
        (lambda known: known["item_ids"].append("one more"), "has shape"),
    ],
)
def test_a_vocabulary_that_contradicts_itself_is_refused(
    directory: Path, change: Callable[[Any], Any], reason: str
) -> None:
    edit_vocabulary(directory, change)
    refused(directory, reason)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(directory: Path, bad: float) -> None:
    edit_weights(directory, lambda tensors: tensors["user.output.weight"].view(-1)[7:8].fill_(bad))
    refused(directory, r"user\.output\.weight holds NaN or infinity")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int32])
def test_weights_of_another_dtype_are_refused(directory: Path, dtype: torch.dtype) -> None:
    edit_weights(
        directory, lambda tensors: tensors.update({"user.norm.weight": tensors["user.norm.weight"].to(dtype)})
    )
    refused(directory, r"user\.norm\.weight is '.*', not F32")


def test_weights_of_another_shape_are_refused(directory: Path) -> None:
    edit_weights(
        directory,
        lambda tensors: tensors.update({"user.norm.weight": tensors["user.norm.weight"][:-1].clone()}),
    )
    refused(directory, r"user\.norm\.weight has shape \[63\], the towers need \[64\]")


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("user.norm.weight"),
        lambda tensors: tensors.update({"\x1b[2J" + "x" * 5_000: torch.zeros(1)}),
    ],
    ids=["a tensor less", "a tensor more"],
)
def test_weights_of_other_towers_are_refused(directory: Path, change: Callable[[Any], Any]) -> None:
    edit_weights(directory, change)
    refused(directory, "the weights are of other towers")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "in a file of 0"),
        (b"\0" * 8, "truncated"),
        (struct.pack("<Q", 2**63) + b"{}", "header would have 9223372036854775808 bytes"),
        (struct.pack("<Q", 3) + b"{}", "header would have 3 bytes, in a file of 10"),
        (struct.pack("<Q", len(DEEP)) + DEEP, "Expected `object`"),
        (struct.pack("<Q", len(DEEP) + 6) + b'{"a":' + DEEP + b"}", "Expected `object`"),
        (struct.pack("<Q", 14) + b'{"\xff":{"a":1}} ', "utf-8"),
    ],
    ids=["empty", "no header", "a huge header", "a header past the end", "deep", "deep within", "no UTF-8"],
)
def test_what_is_no_safetensors_file_is_refused(directory: Path, content: bytes, reason: str) -> None:
    replace_file(directory, WEIGHTS, content)
    refused(directory, reason)


def test_a_header_over_its_limit_is_refused(directory: Path) -> None:
    edit_header(directory, lambda header: header | {"__metadata__": {"x": "y" * weights.MAX_HEADER_BYTES}})
    refused(directory, "the weights' header would have")


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(shape=[2**63 - 1, 64]),
        lambda entry: entry.update(shape=[-1]),
        lambda entry: entry.update(data_offsets=[0, 2**40]),
        lambda entry: entry.update(data_offsets=[256, 0]),
        lambda entry: entry.update(data_offsets=[-4, 252]),
        lambda entry: entry.update(data_offsets=[4, 260]),
    ],
    ids=["huge shape", "negative shape", "past the end", "backwards", "negative", "overlapping"],
)
def test_a_header_that_lies_about_its_tensors_is_refused(
    directory: Path, change: Callable[[Any], Any]
) -> None:
    edit_header(directory, lambda header: change(header["user.norm.weight"]))
    refused(directory, "does not fit together")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (ANCHOR_VECTORS, dump_tensors({"vectors": torch.full((1, 64), float("nan"))})),
        (ANCHOR_VECTORS, dump_tensors({"vectors": torch.ones(1, 64, dtype=torch.float16)})),
        (ANCHOR_VECTORS, dump_tensors({"vectors": torch.ones(2, 64)})),
        (ANCHOR_VECTORS, dump_tensors({"others": torch.ones(1, 64)})),
        (ANCHOR_VECTORS, b""),
        (ANCHOR_IDS, DEEP),
        (ANCHOR_IDS, b'["\xff"]'),
    ],
    ids=["NaN", "another dtype", "too many", "another name", "empty", "deep", "no UTF-8"],
)
def test_an_unsound_anchor_is_refused(model: Model, tmp_path: Path, name: str, content: bytes) -> None:
    anchor = Anchor(["film-1"], np.ones((1, 64), np.float32))
    checkpoint.save(model, tmp_path / "model", now=NOW, anchor=anchor)
    assert checkpoint.load_anchor(tmp_path / "model") is not None
    replace_file(tmp_path / "model", name, content)
    with pytest.raises(ModelMismatch, match="has no sound anchor"):
        checkpoint.load_anchor(tmp_path / "model")


@pytest.mark.parametrize(
    "changes",
    [
        {"towers": {"width": 4096, "feed_forward": 4096, "blocks": 64}},
        {"declaration": {"events": {"watch": {}}, "user_id_buckets": 2**24}},
        {"declaration": {"events": {"watch": {}}, "item": {"t": {"kind": "text", "buckets": 2**24}}}},
    ],
    ids=["huge towers", "a bucket for everybody", "huge hash tables"],
)
def test_towers_that_their_weights_cannot_fill_get_no_memory(directory: Path, changes: Any) -> None:
    """They would take 4 to 50 GB; the sizes are compared before anything is allocated."""
    edit_vocabulary(directory, lambda known: known.update(user={}, item={}))
    edit_manifest(directory, **changes)
    limit = memory_limit(3 * 2**30)
    try:
        with pytest.raises(ModelMismatch, match=r"other towers|has shape|contradicts itself"):
            checkpoint.load(directory)
    finally:
        limit()


def memory_limit(extra_bytes: int) -> Callable[[], None]:
    """So much more address space for this process, and no more; returns what lifts the limit."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (in_use + extra_bytes, before[1]))
    return lambda: resource.setrlimit(resource.RLIMIT_AS, before)


def test_what_is_no_checkpoint_is_never_replaced(model: Model, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    checkpoint.save(model, home, now=NOW)  # an empty folder may be given
    (home / "extra.txt").write_text("a model card")
    checkpoint.save(model, home, now=NOW)
    (home / checkpoint.MANIFEST).unlink()
    with pytest.raises(Misconfigured, match="no checkpoint: name another folder"):
        checkpoint.save(model, home, now=NOW)
    assert (home / VOCABULARY).exists()
    (tmp_path / "link").symlink_to(home)
    with pytest.raises(Misconfigured, match="is a link"):
        checkpoint.save(model, tmp_path / "link", now=NOW)


@pytest.mark.slow
def test_sizes_are_compared_without_loading_half_of_torch(directory: Path) -> None:
    """Whoever draws random numbers without memory imports 900 modules: 150 MB that a worker would keep."""
    script = (
        "import sys; from pathlib import Path; from kindred.embedding import checkpoint; "
        f"before = set(sys.modules); checkpoint.load(Path({str(directory)!r})); "
        "print(len(set(sys.modules) - before))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(loaded.stdout) < 50


def test_a_loaded_model_can_be_trained_on_and_the_file_stays(directory: Path) -> None:
    loaded, _ = checkpoint.load(directory)
    assert all(parameter.requires_grad for parameter in loaded.towers.parameters())
    with torch.no_grad():
        for parameter in loaded.towers.parameters():
            parameter.add_(1.0)
    again, _ = checkpoint.load(directory)
    changes = zip(loaded.towers.parameters(), again.towers.parameters(), strict=True)
    assert all(torch.equal(changed, same + 1.0) for changed, same in changes)
