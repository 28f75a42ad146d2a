"""`kindred train` stopped by Ctrl-C and gone on with, as processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from kindred.embedding.checkpoint import read_manifest
from kindred.training.saved_run import SavedRun

ENDLESS = ("--generated", "--shop-events", "1000", "--epochs", "100000", "--patience", "100000")


def interrupted(*arguments: str, when: Callable[[], bool]) -> str:
    """What `kindred train` prints when Ctrl-C comes as soon as `when` holds."""
    command = [sys.executable, "-m", "kindred.cli", "train", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        while not when():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return printed
    finally:
        process.kill()


def test_a_training_goes_on_where_ctrl_c_stopped_it(tmp_path: Path) -> None:
    model = tmp_path / "model"
    saved = SavedRun(model)
    printed = interrupted(*ENDLESS, "--output", str(model), when=lambda: saved.exists)
    assert f"Go on with: kindred train --resume --output {model}" in printed
    first = read_manifest(model).training
    assert first.ended == "interrupted"
    state = saved.folder / "state.safetensors"
    stopped_at_ns = state.stat().st_mtime_ns
    found = interrupted(
        "--resume",
        "--if-missing",
        "--output",
        str(model),
        "--json",
        when=lambda: state.stat().st_mtime_ns > stopped_at_ns,
    )
    assert json.loads(found)["epochs"] > len(first.epochs)
    assert read_manifest(model).training.epochs[: len(first.epochs)] == first.epochs
