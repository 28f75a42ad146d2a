"""Servers that this machine can run without Docker: Apache Kafka's own jars, and a `qdrant` on PATH."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from servers.ladder import NoServerError

if TYPE_CHECKING:
    from kindred.local.processes import ChildProcess

CACHE = Path(__file__).parents[2] / "build" / "kafka"
JARS = CACHE / "libs"
POM = Path(__file__).with_name("kafka.pom.xml")
PROPERTIES = Path(__file__).with_name("kafka.properties")
DOWNLOAD_TIMEOUT_SECONDS = 120


@contextmanager
def native_kafka() -> Iterator[str]:
    """A one-node Apache Kafka (KRaft); Maven fetches the jars (43 MB) on first use.

    Only on request, for `make test` shall be fast: two JVMs start one after another and keep 0.5 GB.
    """
    if os.environ.get("KINDRED_TEST_NATIVE") != "1":
        raise NoServerError("KINDRED_TEST_NATIVE is not 1")
    from kindred.local.processes import free_port

    with apache_kafka(port := free_port()):
        yield f"127.0.0.1:{port}"


@contextmanager
def apache_kafka(
    port: int, properties: str = "", *, others: Iterable[int] = (), users: Sequence[str] = (),
    jvm_options: Sequence[str] = (),
) -> Iterator[ChildProcess]:  # fmt: skip
    """A broker that listens on `port` in the clear, and is as `properties` says besides.

    `others` are its further ports; `users` what Kafka's own tool takes as --add-scram.
    """
    _require("java", "mvn")
    _fetch_jars()
    from kindred.local.processes import ChildProcess, accepts_connections, free_port
    from kindred.local.servers import temporary_folder

    with temporary_folder() as folder:
        path = _write_properties(folder, port, free_port(), properties)
        scram = [part for user in users for part in ("--add-scram", user)]
        tool = ("kafka.tools.StorageTool", "format", "--standalone", "-t", _cluster_id(), "-c", str(path))
        _java(*tool, *scram)
        command = ["java", "-Xms256m", "-Xmx512m", *jvm_options, *_class_path(), "kafka.Kafka", str(path)]
        with ChildProcess("Apache Kafka", command, log=folder / "kafka.log", folder=folder) as kafka:
            for each in (port, *others):
                kafka.wait_until(partial(accepts_connections, each), timeout_seconds=60)
            yield kafka


@contextmanager
def native_qdrant() -> Iterator[str]:
    """The real server, where its binary is on PATH."""
    _require("qdrant")
    from kindred.local.processes import ChildProcess, free_port
    from kindred.local.qdrant import answers
    from kindred.local.servers import temporary_folder

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        temporary_folder() as folder,
        ChildProcess(
            "Qdrant",
            ["qdrant", "--disable-telemetry"],
            log=folder / "qdrant.log",
            environment=_qdrant_environment(folder, port, free_port()),
            folder=folder,
        ) as qdrant,
    ):
        qdrant.wait_until(lambda: answers(url), timeout_seconds=60)
        yield url


def _qdrant_environment(folder: Path, port: int, grpc_port: int) -> dict[str, str]:
    return {
        "QDRANT__SERVICE__HOST": "127.0.0.1",
        "QDRANT__SERVICE__HTTP_PORT": str(port),
        "QDRANT__SERVICE__GRPC_PORT": str(grpc_port),
        "QDRANT__STORAGE__STORAGE_PATH": str(folder / "storage"),
        "QDRANT__STORAGE__SNAPSHOTS_PATH": str(folder / "snapshots"),
    }


def _require(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise NoServerError(f"{program} is not on PATH")


def _fetch_jars() -> None:
    if (JARS / ".complete").exists():
        return
    command = ["mvn", "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=DOWNLOAD_TIMEOUT_SECONDS)
    except subprocess.SubprocessError as error:
        raise NoServerError(f"Maven could not fetch the jars: {error}") from error
    (JARS / ".complete").touch()


def _write_properties(folder: Path, port: int, controller_port: int, more: str) -> Path:
    text = Template(PROPERTIES.read_text()).substitute(
        port=port, controller_port=controller_port, folder=folder / "logs"
    )
    path = folder / "server.properties"
    path.write_text(f"{text}\n{more}\n")  # of a name that stands there twice, the last one counts
    return path


def _cluster_id() -> str:
    # Kafka's UUIDs are 22 characters of URL-safe base64. With "-" in front it would be taken for an option.
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")


def _class_path() -> list[str]:
    return ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{JARS}/*"]


def _java(*arguments: str) -> None:
    subprocess.run(["java", *_class_path(), *arguments], check=True, capture_output=True)
