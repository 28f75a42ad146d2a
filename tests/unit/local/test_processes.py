from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from kindred.errors import Misconfigured
from kindred.local.processes import ChildProcess

SLEEP = ["sleep", "600"]
IGNORES_TERM = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"]

PARENT = """
import sys, time
from pathlib import Path
from kindred.local.processes import ChildProcess
folder = Path(sys.argv[1])
child = ChildProcess("child", ["sleep", "600"], log=folder / "log", folder=folder)
(folder.parent / "pid").write_text(str(child.pid))
time.sleep(600)
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    before = psutil.Process().children(recursive=True)
    yield tmp_path / "child.log"
    left = set(psutil.Process().children(recursive=True)) - set(before)
    assert not left


def test_leaving_the_block_ends_the_child_and_its_watchdog(log: Path) -> None:
    with ChildProcess("child", SLEEP, log=log) as child:
        assert child.exit_code is None
    assert child.exit_code == -signal.SIGTERM


def test_an_exception_in_the_block_ends_the_child_too(log: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ChildProcess("child", SLEEP, log=log) as child:
        raise KeyboardInterrupt
    assert child.exit_code == -signal.SIGTERM


def test_a_child_that_ignores_the_request_is_killed(log: Path) -> None:
    child = ChildProcess("child", IGNORES_TERM, log=log)
    child.wait_until(lambda: "up" in log.read_text(), timeout_seconds=10)
    assert child.stop(timeout_seconds=0.2) == -signal.SIGKILL


def test_what_the_child_started_ends_with_it(log: Path) -> None:
    with ChildProcess("shell", ["sh", "-c", "sleep 600 & echo $!; wait"], log=log) as shell:
        shell.wait_until(lambda: log.read_text().strip() != "", timeout_seconds=10)
        grandchild = int(log.read_text())
    _wait_until_gone(grandchild)


def test_a_child_that_ends_early_is_reported_with_its_last_words(log: Path) -> None:
    command = ["sh", "-c", "echo no such model; exit 3"]
    with (
        ChildProcess("the worker", command, log=log) as child,
        pytest.raises(Misconfigured, match=r"the worker ended with code 3.*no such model"),
    ):
        child.wait_until(lambda: False, timeout_seconds=10)


def test_a_child_that_never_becomes_ready_is_reported(log: Path) -> None:
    with (
        ChildProcess("the worker", SLEEP, log=log) as child,
        pytest.raises(Misconfigured, match=r"the worker: not ready in 0\.1 s"),
    ):
        child.wait_until(lambda: False, timeout_seconds=0.1)


def test_stopping_twice_is_harmless(log: Path) -> None:
    child = ChildProcess("child", SLEEP, log=log)
    assert child.stop() == child.stop()


def test_kill_9_of_the_parent_ends_the_child_and_deletes_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)])
    child = _read_pid(tmp_path / "pid")
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    _wait_until_gone(child)
    _wait_until(lambda: not folder.exists())


def _read_pid(path: Path) -> int:
    _wait_until(lambda: path.exists() and path.read_text() != "")
    return int(path.read_text())


def _wait_until_gone(pid: int) -> None:
    _wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
