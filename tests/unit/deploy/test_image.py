from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
DEPLOY_FILES = sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file())
DEPLOYMENT_FILES = [ROOT / "docker-compose.yml", *DEPLOY_FILES]
USER = 10001


def test_base_images_are_pinned() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.12\.\d+-slim-\w+", base) for base in bases)


def test_the_image_runs_as_the_user_that_the_manifests_name() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert f"USER {USER}" in final
    assert f"--uid {USER} " in final
    worker = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "worker.yaml").read_text())
    assert worker["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == USER


def test_versions_come_from_the_constraints() -> None:
    assert "PIP_CONSTRAINT=/source/constraints.txt" in DOCKERFILE
    assert "COPY constraints.txt" in DOCKERFILE


def test_the_build_context_holds_what_the_image_copies() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    for source in " ".join(copied).split():
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored


@pytest.mark.parametrize(
    "path", [ROOT / "deploy" / "Dockerfile", *DEPLOYMENT_FILES], ids=lambda path: path.name
)
def test_no_address_outside_the_deployment_is_written_down(path: Path) -> None:
    addresses = re.findall(r"\w+://([\w.-]+\.\w{2,})", path.read_text())
    assert set(addresses) <= {"127.0.0.1"}


def test_one_version_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    text = "".join(path.read_text() for path in DEPLOYMENT_FILES)
    assert set(re.findall(r"image: kindred:(\S+)", text)) == {version}
