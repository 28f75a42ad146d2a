"""What keeps a worker or a command from starting is one sentence on stderr and exit code 1."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from kindred import cli
from kindred.composition import opened
from kindred.embedding.checkpoint import read_manifest
from kindred.events.topics import delete_topics
from kindred.settings import Settings
from kindred.vectors.collections import ensure_collections
from running import environment, prepare, rows, save_model

Kindred = Callable[..., str]


@pytest.fixture
def prepared(settings: Settings, tmp_path: Path) -> Settings:
    return prepare(settings, tmp_path)


@pytest.fixture
def kindred(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Kindred]:
    """Run a command that must fail, with some variables changed; returns the sentence."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def run(*arguments: str, **changed: object) -> str:
        variables = environment(prepared) | {f"KINDRED_{name}": str(value) for name, value in changed.items()}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["kindred", *(arguments or ("worker",))])
        began = time.monotonic()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 1
        assert time.monotonic() - began < 15
        return _sentence(capsys.readouterr().err)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def test_as_a_process_without_a_traceback(prepared: Settings) -> None:
    variables = environment(prepared) | {"KINDRED_POSTGRES__URL": "postgresql://127.0.0.1:1/kindred"}
    ended = subprocess.run(
        [sys.executable, "-m", "kindred.cli", "worker"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert _sentence(ended.stderr).startswith("Postgres does not answer (")


def test_a_wrong_password(kindred: Kindred, prepared: Settings) -> None:
    sentence = kindred(POSTGRES__PASSWORD="wrong")
    assert "Postgres refuses the login" in sentence
    assert "KINDRED_POSTGRES__PASSWORD" in sentence
    assert "wrong" not in sentence


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("POSTGRES__URL", "postgresql://someone@127.0.0.1:1/kindred"),
        ("KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("QDRANT__URL", "http://127.0.0.1:1"),
    ],
)
def test_an_unreachable_server(kindred: Kindred, variable: str, address: str) -> None:
    sentence = kindred(**{variable: address})
    assert "does not answer" in sentence
    assert sentence.endswith(f"Is it running, and is KINDRED_{variable} right?")


def test_a_server_that_takes_connections_and_is_silent(kindred: Kindred) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "Qdrant does not answer" in kindred(QDRANT__URL=f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_a_missing_topic(kindred: Kindred, prepared: Settings) -> None:
    delete_topics(prepared)
    sentence = kindred()
    assert f"No such topic: {prepared.topic('interactions')}" in sentence
    assert "kindred topics create" in sentence


def test_a_schema_that_is_not_migrated(kindred: Kindred, prepared: Settings) -> None:
    rows(prepared, f"DROP SCHEMA {prepared.schema_name} CASCADE")
    assert kindred().endswith("Run `kindred migrate`.")


def test_no_checkpoint(kindred: Kindred, tmp_path: Path) -> None:
    sentence = kindred(CHECKPOINT=tmp_path / "nothing")
    assert str(tmp_path / "nothing") in sentence
    assert "KINDRED_CHECKPOINT" in sentence


def test_an_altered_weight_file(kindred: Kindred, prepared: Settings) -> None:
    weights = prepared.checkpoint / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "model.safetensors" in kindred()


def test_a_checkpoint_that_is_not_of_this_installation(
    kindred: Kindred, prepared: Settings, tmp_path: Path
) -> None:
    live = _install(prepared)
    other = save_model(tmp_path / "other", seed=1)
    sentence = kindred(CHECKPOINT=tmp_path / "other")
    assert f"holds model {other}, but {live} is live here" in sentence
    with opened(prepared) as servers:  # nothing of it was made
        assert not servers.qdrant.collection_exists(servers.names.users(other))


def test_collections_of_another_width(kindred: Kindred, prepared: Settings) -> None:
    with opened(prepared) as servers:
        name = read_manifest(prepared.checkpoint).name
        ensure_collections(servers.qdrant, servers.names, name, 3, servers.declaration)
    assert "holds vectors of width 3" in kindred()


def test_a_model_that_reads_more_than_is_kept_is_a_warning(prepared: Settings) -> None:
    few = prepared.postgres.model_copy(update={"history_limit": 20})
    with structlog.testing.capture_logs() as logged:
        _install(prepared.model_copy(update={"postgres": few}))
    (warning,) = [entry for entry in logged if entry["log_level"] == "warning"]
    assert "KINDRED_POSTGRES__HISTORY_LIMIT=" in warning["reason"]


def test_settings_that_are_none(kindred: Kindred) -> None:
    assert "KINDRED_WORKER__BATCH_SIZE" in kindred(WORKER__BATCH_SIZE="abc")
    sentence = kindred(WORKER__BATCH_SIZE="10", WORKER__BACH_SIZE="10")
    assert "KINDRED_WORKER__BACH_SIZE: there is no such setting" in sentence


def test_a_port_that_is_taken(kindred: Kindred) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"Port {port} of 127.0.0.1 is taken" in kindred(WORKER__HTTP_PORT=port)


def test_questions_that_are_wrong(kindred: Kindred, prepared: Settings) -> None:
    assert "no model is live" in kindred("similar-items", "3")
    _install(prepared)
    assert "nobody" in kindred("recommend", "7", "--filter", "nobody").lower()
    assert "unheard-of" in kindred("similar-items", "unheard-of")
    assert "unheard-of" in kindred("history", "unheard-of")


def _install(settings: Settings) -> str:
    """Make the configured model live, as a first worker does; returns its name."""
    from kindred.composition import install

    with opened(settings) as servers:
        install(servers)
    return read_manifest(settings.checkpoint).name


def _sentence(printed: str) -> str:
    """What stands after `error`, which must be all there is."""
    assert printed.startswith("error ")
    assert printed.count("\n") == 1, printed
    return printed.removeprefix("error ").strip()
