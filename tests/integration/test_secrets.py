"""Secrets planted in every setting for one, every command made to fail, and all that it says searched."""

from __future__ import annotations

import io
import json
import logging
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import psutil
import pytest
import structlog
import typer
from pydantic import BaseModel, SecretStr

from kindred import cli
from kindred.local import qdrant as embedded_qdrant
from kindred.local.processes import ChildProcess
from kindred.local.servers import temporary_folder
from kindred.settings import QdrantSettings, Settings
from proxy import proxied
from running import eventually, interaction, is_ready, prepare, producing, ready, save_model, worker_process
from servers.certificates import Authority

PAGES = ("healthz", "readyz", "metrics")
# Every command that reaches a server, with what it needs to get there.
COMMANDS: dict[str, list[str]] = {
    "settings": [],
    "doctor": [],
    "migrate": [],
    "roles": [],
    "topics create": [],
    "worker": [],
    "produce": ["FILE"],
    "load-items": ["FILE"],
    "train": ["--from", "postgres"],
    "evaluate": ["model", "--from", "postgres"],
    "recommend": ["ann"],
    "similar": ["ann"],
    "similar-items": ["3"],
    "audience": ["3"],
    "history": ["ann"],
    "erase": ["ann", "--yes"],
    "recover": ["--dry-run"],
    "verify": [],
    "dead-letters list": [],
    "dead-letters show": ["1"],
    "dead-letters replay": ["--dry-run"],
    "dead-letters purge": ["--all", "--yes"],
    "breaker list": [],
    "breaker accept": ["interactions", "0"],
}
NEED_NO_SERVER = {"local", "demo", "generate-shop"}


class Planted:
    """Secrets that occur nowhere else; `seen_in` finds them however they are written."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def __call__(self, characters: str = "") -> str:
        self.words.append(secrets.token_hex(8))
        return f"{self.words[-1]}{characters}"

    def seen_in(self, text: str) -> list[str]:
        return [word for word in self.words if word in text]


@pytest.fixture
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[str, str]]:
    """URL and key of a Qdrant that wants one."""
    key = secrets.token_hex(8)
    with temporary_folder() as folder, embedded_qdrant.launch(folder, key) as server:
        server.wait_until_ready()
        yield server.address, key


@pytest.fixture
def wrong_logins(
    planted: Planted, guarded: tuple[str, str], kafka_bootstrap: str, postgres_url: str, tmp_path: Path
) -> dict[str, str]:
    """Servers that answer, and a planted secret in every setting for one; each is wrong."""
    save_model(tmp_path / "model")
    in_url = quote(planted(" %/@:"), safe="")
    return {name: planted() for name in secret_settings()} | {
        "KINDRED_CHECKPOINT": str(tmp_path / "model"),
        "KINDRED_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "KINDRED_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KINDRED_KAFKA__SASL_MECHANISM": "PLAIN",
        "KINDRED_KAFKA__SASL_USERNAME": "kindred",
        "KINDRED_POSTGRES__URL": f"postgresql://kindred:{in_url}@{urlsplit(postgres_url).netloc.rpartition('@')[2]}/x",
        "KINDRED_QDRANT__URL": guarded[0],
        "KINDRED_LOG_LEVEL": "debug",
        "KINDRED_LOG_FORMAT": "console",
    }


def secret_settings() -> list[str]:
    """Variables of all settings that are declared to be secret."""
    groups = {name: field.annotation for name, field in Settings.model_fields.items()}
    return [
        f"KINDRED_{group.upper()}__{name.upper()}"
        for group, settings in groups.items()
        if isinstance(settings, type) and issubclass(settings, BaseModel)
        for name, field in settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    ]


Fails = Callable[[str, Mapping[str, str]], str]


@pytest.fixture
def fails(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Fails]:
    """Run a command that must fail in one sentence; all it prints, and all that any library logs."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    root = logging.getLogger()
    before, clients = (root.handlers[:], root.level), logging.getLogger("kafka").level
    logged = io.StringIO()
    (tmp_path / "events.jsonl").write_text('{"user_id": "ann", "updated_at": 1}\n')
    monkeypatch.chdir(tmp_path)

    def run(command: str, variables: Mapping[str, str]) -> str:
        arguments = [str(tmp_path / "events.jsonl") if a == "FILE" else a for a in COMMANDS[command]]
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["kindred", *command.split(), *arguments])
            root.handlers, root.level = [logging.StreamHandler(logged)], logging.DEBUG
            patch.setattr(cli, "silence_clients", lambda: None)  # as if somebody had turned it up
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = "".join(capfd.readouterr())
        assert ended.value.code in ({0, 1} if command in {"settings", "roles"} else {1}), printed
        assert "Traceback" not in printed
        return printed + logged.getvalue()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    root.handlers[:], root.level = before
    logging.getLogger("kafka").setLevel(clients)
    structlog.reset_defaults()


def test_every_command_is_searched() -> None:
    def names(group: Any, *above: str) -> Iterator[str]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from names(command, *above, name)
            else:
                yield " ".join((*above, name))

    assert set(names(typer.main.get_command(cli.app))) == COMMANDS.keys() | NEED_NO_SERVER


@pytest.mark.parametrize("command", COMMANDS)
def test_a_refused_login(command: str, fails: Fails, wrong_logins: dict[str, str], planted: Planted) -> None:
    assert planted.seen_in(fails(command, wrong_logins)) == []


@pytest.mark.parametrize("command", ["settings", "doctor", "worker", "produce"])
def test_addresses_and_values_that_are_none(
    command: str, fails: Fails, wrong_logins: dict[str, str], planted: Planted, tmp_path: Path
) -> None:
    for changed in _mistakes(planted, tmp_path):
        assert planted.seen_in(fails(command, wrong_logins | changed)) == [], changed


def _mistakes(planted: Planted, folder: Path) -> Iterator[dict[str, str]]:
    """Settings that are no settings, each of them for a reason of its own."""
    postgres, qdrant, kafka = "KINDRED_POSTGRES__", "KINDRED_QDRANT__", "KINDRED_KAFKA__"
    for url in (
        f"postgresql://u:{planted()}@host:port/x",
        f"postgresql://u:{planted()}\n@127.0.0.1:1/x",
        f"postgresql://u@127.0.0.1:1/x?password={planted()}&bogus={planted()}",
        f"postgresql://u:{planted()}@127.0.0.1:99999/x",
        f"postgresql://u:{planted()}@db.invalid/x?sslmode=require",
        f"postgresql://u:{planted()}@db.example/x",
        f"host=127.0.0.1 port=1 password='{planted()} \\' {planted()}' user=u",
        f"mysql://u:{planted()}@127.0.0.1/x",
    ):
        yield {f"{postgres}URL": url}
    for url in (
        f"https://u:{planted()}@127.0.0.1:1",
        f"http://u:{planted()}@[::1",
        f"http://127.0.0.1:1/?api-key={planted()}",
        "http://127.0.0.1:1",
        "http://vectors.example:6333",
    ):
        yield {f"{qdrant}URL": url}
    yield {f"{qdrant}API_KEY": planted("\n")}
    yield {f"{qdrant}API_KEY": planted("ü")}
    yield {f"{kafka}BOOTSTRAP_SERVERS": f"u:{planted()}@127.0.0.1:1"}
    yield {f"{kafka}BOOTSTRAP_SERVERS": "kafka.example:9092"}
    yield {f"{kafka}SASL_PASSWORDD": planted()}
    yield {"KINDRED_KAFKA": f'{{"sasl_password": "{planted()}"'}
    yield {f"{kafka}SECURITY_PROTOCOL": planted()}
    token = {f"{kafka}SASL_MECHANISM": "OAUTHBEARER", f"{kafka}SASL_OAUTH_CLIENT_ID": "me"}
    yield token | {f"{kafka}SASL_OAUTH_TOKEN_URL": f"https://me:{planted()}@127.0.0.1:1/x?secret={planted()}"}
    yield token | {f"{kafka}SASL_OAUTH_TOKEN_URL": "http://tokens.example"}
    (folder / "token").write_text(f"{planted()} {planted()}")
    yield token | {f"{kafka}SASL_OAUTH_TOKEN_FILE": str(folder / "token")}
    locked = Authority(folder / "authority").issue("locked", key_password=planted())
    files = {"SSL_CERTFILE": str(locked.chain), "SSL_KEYFILE": str(locked.key)}
    for prefix, more in (
        (postgres, {f"{postgres}SSL_MODE": "require"}),
        (qdrant, {}),
        (kafka, {f"{kafka}SECURITY_PROTOCOL": "SASL_SSL"}),
    ):
        yield {f"{prefix}{name}": value for name, value in files.items()} | more


def test_a_running_worker(
    settings: Settings, guarded: tuple[str, str], planted: Planted, tmp_path: Path
) -> None:
    """With right secrets, through an outage: its log, its arguments, and what it answers over HTTP."""
    prepared = prepare(settings, tmp_path)
    url, key = guarded
    planted.words += [key, urlsplit(prepared.postgres.url).password or ""]
    with proxied(url) as proxy:
        qdrant = QdrantSettings(url=proxy.url, api_key=SecretStr(key))
        prepared = prepared.model_copy(
            update={"qdrant": qdrant, "log_level": "debug", "log_format": "console"}
        )
        log = tmp_path / "worker.log"
        with worker_process(prepared, log) as worker:
            eventually(lambda: is_ready(prepared), seconds=60)
            proxy.become("refusing")
            with producing(prepared) as send:
                send("interactions", "ann", interaction("ann", "3", 1))
            eventually(lambda: "qdrant" in str(ready(prepared)))
            answers = [
                httpx.get(f"http://127.0.0.1:{prepared.worker.http_port}/{page}").text for page in PAGES
            ]
            assert planted.seen_in("\n".join([*answers, *arguments_below(worker.pid)])) == []
    assert "server_away" in log.read_text()
    assert planted.seen_in(log.read_text()) == []


def test_what_kindred_local_starts(planted: Planted, tmp_path: Path) -> None:
    """It prints the password of its Postgres, for whoever started it, and shows it to nobody else."""
    # Whatever else is set counts here as well: a password would replace the one of its own Postgres.
    names = set(secret_settings()) - {"KINDRED_POSTGRES__PASSWORD"}
    environment = {name: planted() for name in names}
    command, log = [sys.executable, "-m", "kindred.cli", "local", "--json"], tmp_path / "log"
    with ChildProcess("kindred local", command, log=log, environment=environment) as local:
        eventually(lambda: "KINDRED_QDRANT__URL" in log.read_text() and log.read_text().endswith("}\n"), 90)
        assert planted.seen_in(log.read_text()) == []
        told = json.loads(log.read_text())
        planted.words.append(urlsplit(told["KINDRED_POSTGRES__URL"]).password or "")
        arguments = arguments_below(local.pid)
        assert any("postgres" in line for line in arguments)
        assert planted.seen_in("\n".join(arguments)) == []


def arguments_below(pid: int) -> list[str]:
    """The command line of this process and of all that it has started."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for each in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                found.append(" ".join(each.cmdline()))
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_kindred_demo_starts(planted: Planted, tmp_path: Path) -> None:
    """It starts servers and a worker, which it tells their secrets through the environment."""
    command = [sys.executable, "-m", "kindred.cli", "demo", "--events", "500", "--train-seconds", "1"]
    environment = {name: planted() for name in secret_settings()}
    with ChildProcess("kindred demo", command, log=tmp_path / "log", environment=environment) as demo:
        seen: set[str] = set()
        while demo.exit_code is None:
            seen |= set(arguments_below(demo.pid))
            time.sleep(0.2)
        assert demo.exit_code == 0
    assert any("kindred.cli worker" in line for line in seen)
    assert planted.seen_in("\n".join([*seen, (tmp_path / "log").read_text()])) == []
    assert not [line for line in seen if "postgresql://" in line]
