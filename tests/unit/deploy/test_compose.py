from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kindred.events.access import client_options
from kindred.history.address import address
from kindred.settings import load_settings
from kindred.vectors.connection import connect

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = {"kafka", "postgres", "qdrant"}
OURS = sorted(SERVICES.keys() - SERVERS)


def test_the_whole_service_is_there() -> None:
    assert SERVICES.keys() == SERVERS | {"topics", "migrate", "train", "shop", "worker"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_images_are_pinned(name: str) -> None:
    assert re.fullmatch(r"[\w/-]+:v?\d+(\.\d+)+", SERVICES[name]["image"])


@pytest.mark.parametrize("name", sorted(SERVERS | {"worker"}))
def test_what_keeps_running_has_a_health_check_and_comes_back(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_servers_keep_what_they_hold_in_a_named_volume(name: str) -> None:
    volumes = [volume.partition(":")[0] for volume in SERVICES[name]["volumes"]]
    assert volumes == [name]
    assert name in COMPOSE["volumes"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_the_worker_starts_after_everything_it_needs() -> None:
    conditions = {name: need["condition"] for name, need in SERVICES["worker"]["depends_on"].items()}
    finished = dict.fromkeys(("topics", "migrate", "train"), "service_completed_successfully")
    assert conditions == finished | dict.fromkeys(SERVERS, "service_healthy")


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_one_that_exists(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = load_settings(_env_file=None)
    assert settings.kafka.bootstrap_servers == "kafka:19092"
    assert settings.postgres.password is not None
    assert settings.qdrant.url == "http://qdrant:6333"


def test_no_password_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Service names are no loopback addresses: what travels in plain text has to be allowed."""
    for variable, value in SERVICES["worker"]["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = load_settings(_env_file=None)
    assert address(settings.postgres).password
    assert client_options(settings.kafka)
    connect(settings.qdrant).close()


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_that_exists(name: str) -> None:
    from kindred.cli import app

    result = CliRunner().invoke(app, [*_arguments(SERVICES[name]["command"]), "--help"])
    assert result.exit_code == 0, result.output


def test_containers_reach_kafka_by_the_address_it_advertises_to_them() -> None:
    environment = SERVICES["kafka"]["environment"]
    advertised = dict(
        listener.split("://") for listener in environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )
    assert advertised["INTERNAL"] == SERVICES["worker"]["environment"]["KINDRED_KAFKA__BOOTSTRAP_SERVERS"]
    assert SERVICES["kafka"]["ports"] == [f"{advertised['HOST']}:9092"]


def _arguments(command: list[str]) -> list[str]:
    """What follows `kindred`: in the image's entry point, or at the end of a shell line."""
    return command[0].rpartition("kindred ")[2].split() if " " in command[0] else command
