from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from kindred.errors import Misconfigured
from kindred.local import postgres
from kindred.local.broker import SESSION_TIMEOUT_MS
from kindred.local.servers import EmbeddedServers, temporary_folder

PARENT = """
import sys, time
from pathlib import Path
from kindred.local.servers import EmbeddedServers
with EmbeddedServers() as servers:
    Path(sys.argv[1]).write_text(str(servers.folder))
    time.sleep(600)
"""


def test_all_three_answer_and_nothing_is_left_behind() -> None:
    with EmbeddedServers() as servers:
        _assert_kafka_answers(servers.addresses.kafka)
        _assert_postgres_answers(servers.addresses.postgres)
        _assert_qdrant_answers(servers.addresses.qdrant)
        started = _processes_of(servers.folder)
    assert started
    assert not servers.folder.exists()
    assert not [process for process in started if process.is_running()]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_kill_9_or_ctrl_c_leaves_no_server_and_no_file(end: signal.Signals, tmp_path: Path) -> None:
    report = tmp_path / "folder"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(report)], stderr=subprocess.DEVNULL)
    _wait_until(lambda: report.exists() and report.read_text() != "")
    folder = Path(report.read_text())
    started = _processes_of(folder)
    assert started
    os.kill(parent.pid, end)
    parent.wait()
    _wait_until(lambda: not any(_runs(process) for process in started))
    _wait_until(lambda: not folder.exists())


def test_a_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgres.SETTINGS, "shared_buffers", "plenty")
    with (
        temporary_folder() as folder,
        postgres.launch(folder) as server,
        pytest.raises(Misconfigured, match="shared_buffers"),
    ):
        server.wait_until_ready()


def test_records_pass_through_the_broker_to_a_group(kafka_bootstrap: str) -> None:
    topic, group = f"topic-{time.time_ns()}", f"group-{time.time_ns()}"
    with KafkaAdminClient(bootstrap_servers=kafka_bootstrap) as admin:
        admin.create_topics({topic: {"num_partitions": 2}}, wait_for_metadata=True)
    _produce(kafka_bootstrap, topic, 500)
    assert _consume(kafka_bootstrap, topic, group, 500) == {str(i).encode() for i in range(500)}
    _produce(kafka_bootstrap, topic, 1)
    assert _consume(kafka_bootstrap, topic, group, 1) == {b"0"}  # goes on where the group committed


def _produce(bootstrap: str, topic: str, count: int) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for number in range(count):
        producer.send(topic, key=str(number % 7).encode(), value=str(number).encode())
    producer.close()


def _consume(bootstrap: str, topic: str, group: str, count: int) -> set[bytes]:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_TIMEOUT_MS,
    )
    consumer.subscribe([topic])
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(values) < count and time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=1000).values():
            values += [record.value for record in records]
    consumer.commit()
    consumer.close()
    assert len(values) == count
    return set(values)


def _assert_kafka_answers(bootstrap: str) -> None:
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        assert admin.list_topics() == []


def _assert_postgres_answers(url: str) -> None:
    with psycopg.connect(url) as connection:
        assert connection.info.server_version // 10_000 == 18


def _assert_qdrant_answers(url: str) -> None:
    with urllib.request.urlopen(f"{url}/collections") as response:
        assert response.status == 200


def _processes_of(folder: Path) -> list[psutil.Process]:
    """Servers and watchdogs: whatever names the folder, and its children."""
    named = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or ())
    ]
    watched = [psutil.Process(int(process.cmdline()[-3])) for process in named if _is_watchdog(process)]
    return [*named, *watched, *(child for process in watched for child in process.children(recursive=True))]


def _is_watchdog(process: psutil.Process) -> bool:
    return any(part.endswith("watchdog.py") for part in process.cmdline())


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
