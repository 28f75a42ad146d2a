"""`kindred demo` and `kindred local` as a person runs them: a process, its output, and what it leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

KINDRED = (sys.executable, "-m", "kindred.cli")
SMALL = ("demo", "--events", "3000", "--train-seconds", "3", "--rate", "300")
FIGURES = {
    "events_per_second",
    "freshness_p50_ms",
    "freshness_p99_ms",
    "training_seconds",
    "seconds_total",
    "dead_letters",
    *(
        f"recall_at_{cutoff}_{what}{group}"
        for cutoff in (10, 100)
        for what in ("frozen", "fresh", "gain", "gain_interval")
        for group in ("", "_new_users")
    ),
}
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where the command makes its folders; Postgres, which never runs as root, must get through."""
    with tempfile.TemporaryDirectory(prefix="demo-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def test_the_demo_tells_its_four_parts_and_leaves_nothing(temporary: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    (tmp_path / ".env").write_text("KINDRED_QDRANT__URL=http://somewhere.invalid\n")
    theirs = {"KINDRED_NAMESPACE": "production", "KINDRED_KAFKA__SECURITY_PROTOCOL": "SSL"}
    done = subprocess.run(
        [*KINDRED, *SMALL, "--report", str(report)],
        env=os.environ | theirs | {"TMPDIR": str(temporary)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not CONTROL.search(done.stdout)
    *told, last = done.stdout.splitlines()
    assert max(map(len, told)) <= 80
    assert last == str(report)
    for part in ("Throughput and freshness", "as of training", "a second ago", "Recall of the next film"):
        assert part in done.stdout
    figures = json.loads(report.read_text())
    assert figures.keys() >= FIGURES
    assert figures["dead_letters"] == 0
    assert figures["events_per_second"] > 0
    assert 0 < figures["freshness_p50_ms"] <= figures["freshness_p99_ms"]
    _assert_nothing_left(temporary)


@pytest.mark.parametrize("moment", ["servers", "worker"])
def test_ctrl_c_stops_everything(moment: str, temporary: Path, tmp_path: Path) -> None:
    with _started([*SMALL], temporary, tmp_path) as demo:
        _wait_for(demo, moment)
        demo.send_signal(signal.SIGINT)
        _, error = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert error.strip().splitlines()[-1] == "Stopped; no server is left running."
    assert "Traceback" not in error
    _assert_nothing_left(temporary)


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    command = [*KINDRED, "demo", "--dataset", "ml-100k", "--data-dir", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "nowhere" in done.stderr


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_local_prints_settings_that_other_commands_work_with(
    end: signal.Signals, temporary: Path, tmp_path: Path
) -> None:
    with _started(["local", "--json"], temporary, tmp_path) as local:
        lines = iter(local.stdout or ())
        settings = json.loads("".join(_through(lines, "}\n")))
        listed = subprocess.run(
            [*KINDRED, "topics", "create"],
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "All three topics are there." in listed.stdout, listed.stderr
        local.send_signal(end)
        local.communicate(timeout=30)
    assert local.returncode == 0
    _assert_nothing_left(temporary)


@contextmanager
def _started(arguments: list[str], temporary: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*KINDRED, *arguments],
        env=os.environ | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()  # its watchdogs take the rest down
        process.wait()


def _wait_for(process: subprocess.Popen[str], stage: str) -> None:
    for line in process.stdout or ():
        if f"✓ {stage}" in line:
            return
    pytest.fail(f"it ended before {stage}: {process.stderr and process.stderr.read()}")


def _through(lines: Iterator[str], last: str) -> Iterator[str]:
    for line in lines:
        yield line
        if line == last:
            return


def _assert_nothing_left(folder: Path) -> None:
    deadline = time.monotonic() + 5
    while (left := [*folder.glob("kindred-*"), *_processes_naming(folder)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def _processes_naming(folder: Path) -> list[psutil.Process]:
    """Postgres and the watchdogs have the folder in their command, all others in their environment."""
    return [process for process in psutil.process_iter() if _names(process, str(folder))]


def _names(process: psutil.Process, folder: str) -> bool:
    try:
        return folder in " ".join([*process.cmdline(), *process.environ().values()])
    except psutil.Error:
        return False
