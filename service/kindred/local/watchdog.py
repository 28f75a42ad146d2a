"""Takes a child process down when the process that started it is gone, however it ended.

A process of its own beside each child, because nothing can be run on `kill -9`:
`python -I -S watchdog.py PARENT CHILD SIGNAL FOLDER`. Linux's PR_SET_PDEATHSIG needs no second process,
but it belongs to one system, and it fires when the *thread* that forked ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time

POLL_SECONDS = 0.5
STOP_SECONDS = 5.0


def watch(parent: int, child: int, stop_signal: int, folder: str) -> None:
    """Return when the child has ended, or stop it and delete `folder` when the parent has ended."""
    while os.getppid() == parent:
        if not _is_alive(child):
            return
        time.sleep(POLL_SECONDS)
    _signal(child, stop_signal)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(child, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    watch(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
