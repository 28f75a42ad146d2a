from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from kindred.events.access import client_options
from kindred.history.address import address
from kindred.settings import load_settings
from kindred.vectors.connection import connect

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml*"))
MANIFESTS: dict[str, dict[str, Any]] = {path.name: yaml.safe_load(path.read_text()) for path in FILES}
WORKER = MANIFESTS["worker.yaml"]["spec"]["template"]
MIGRATION = MANIFESTS["migration.yaml"]["spec"]["template"]
STOP_SECONDS = 10  # from SIGTERM to the end of an undisturbed worker
PODS = {"worker": WORKER, "migration": MIGRATION}


@pytest.mark.parametrize("name", MANIFESTS)
@pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
def test_every_manifest_is_valid(name: str, version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_namespace_is_left_to_the_operator(name: str) -> None:
    assert "namespace" not in MANIFESTS[name]["metadata"]


def test_applying_the_folder_never_replaces_a_real_secret() -> None:
    applied = [name for name in MANIFESTS if name.endswith(".yaml")]
    assert not [name for name in applied if MANIFESTS[name]["kind"] == "Secret"]


@pytest.mark.parametrize("pod", PODS)
def test_pods_run_without_any_right(pod: str) -> None:
    spec = PODS[pod]["spec"]
    container = spec["containers"][0]["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert container["readOnlyRootFilesystem"] is True
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("pod", PODS)
def test_settings_come_from_the_manifests(pod: str) -> None:
    sources = PODS[pod]["spec"]["containers"][0]["envFrom"]
    assert sources[0]["configMapRef"]["name"] == MANIFESTS["configuration.yaml"]["metadata"]["name"]


def test_the_worker_has_its_own_role_and_no_other_secret() -> None:
    container = WORKER["spec"]["containers"][0]
    secrets = [each["secretRef"]["name"] for each in container["envFrom"] if "secretRef" in each]
    assert secrets == [MANIFESTS["secret.yaml.example"]["metadata"]["name"]]
    assert "env" not in container
    data = MANIFESTS["configuration.yaml"]["data"]
    assert f"//{data['KINDRED_POSTGRES__WORKER_ROLE']}@" in data["KINDRED_POSTGRES__URL"]


def test_the_migration_is_the_owners() -> None:
    url, password = MIGRATION["spec"]["containers"][0]["env"]
    assert url["name"] == "KINDRED_POSTGRES__URL"
    assert "//kindred_owner@" in url["value"]
    assert password["name"] == "KINDRED_POSTGRES__PASSWORD"
    source, owner = password["valueFrom"]["secretKeyRef"], MANIFESTS["owner-secret.yaml.example"]
    assert source["name"] == owner["metadata"]["name"]
    assert source["key"] in owner["stringData"]


def test_every_setting_is_one_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = MANIFESTS["configuration.yaml"]["data"]
    secret = MANIFESTS["secret.yaml.example"]["stringData"]
    for variable, value in {**configuration, **secret}.items():
        assert variable.startswith("KINDRED_")
        monkeypatch.setenv(variable, value)
    settings = load_settings(_env_file=None)
    assert settings.postgres.password is not None
    assert settings.kafka.sasl_password is not None


def test_no_password_and_no_key_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = MANIFESTS["configuration.yaml"]["data"]
    secret = MANIFESTS["secret.yaml.example"]["stringData"]
    for variable, value in {**configuration, **secret}.items():
        monkeypatch.setenv(variable, value)
    settings = load_settings(_env_file=None)
    assert address(settings.postgres).password
    assert client_options(settings.kafka)
    connect(settings.qdrant).close()


@pytest.mark.parametrize("pod", PODS)
def test_every_command_is_one_that_exists(pod: str) -> None:
    from kindred.cli import app

    arguments = PODS[pod]["spec"]["containers"][0]["args"]
    assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0


def test_the_worker_is_given_longer_than_a_batch_to_stop() -> None:
    assert WORKER["spec"]["terminationGracePeriodSeconds"] > 2 * STOP_SECONDS


def test_the_probes_ask_the_port_that_the_worker_listens_on() -> None:
    container = WORKER["spec"]["containers"][0]
    port = load_settings(_env_file=None).worker.http_port
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    paths = {probe: container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}


def test_everything_that_selects_workers_finds_them() -> None:
    labels = WORKER["metadata"]["labels"]
    assert MANIFESTS["service.yaml"]["spec"]["selector"] == labels
    assert MANIFESTS["disruption-budget.yaml"]["spec"]["selector"]["matchLabels"] == labels
    assert MANIFESTS["worker.yaml"]["spec"]["selector"]["matchLabels"] == labels


def test_the_checkpoint_lies_on_the_volume() -> None:
    mount = WORKER["spec"]["containers"][0]["volumeMounts"][0]
    volume = WORKER["spec"]["volumes"][0]
    assert MANIFESTS["configuration.yaml"]["data"]["KINDRED_CHECKPOINT"].startswith(mount["mountPath"] + "/")
    assert volume["name"] == mount["name"]
    claim = volume["persistentVolumeClaim"]["claimName"]
    assert claim == MANIFESTS["model-volume.yaml"]["metadata"]["name"]
