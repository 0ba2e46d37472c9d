"""The compose file is well formed, and names only commands and settings that there are."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from cloud.cli.program import app
from cloud.settings import Settings

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
COMPOSE = PACKAGING / "compose.yaml"
OURS = ("migrate", "api", "worker")
GIVEN = {
    "SAFELIGHT_DB_PASSWORD": "9f27c1b8e4d05a36",
    "SAFELIGHT_SECRET_KEY": "7d1f0c93b58e46a2f19b3ce07a64d85210fe6b97c3ad4825e08b1f59d6c27a34",
    "SAFELIGHT_ENCRYPTION_KEYS": "j1F-F8oNVSD2m3-4pduhV4CQ_mH0roEYNfGQB9Ub1Jg=",
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(COMPOSE)["services"]
    return loaded


def test_the_file_keeps_the_compose_schema() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(COMPOSE),
    ]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", OURS)
def test_the_command_is_one_of_ours_with_its_options(services: dict[str, Any], name: str) -> None:
    program = get_command(app)
    words = services[name]["command"]
    command = program.commands[words[0]]  # type: ignore[attr-defined]
    with command.make_context(words[0], list(words[1:])) as context:
        assert context.info_name == words[0]


@pytest.mark.parametrize("name", OURS)
def test_the_variables_are_settings_and_make_a_cluster(
    services: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = services[name]["environment"]
    known = {f"SAFELIGHT_{field.upper()}" for field in Settings.model_fields}
    assert set(variables) <= known
    for variable, value in variables.items():
        monkeypatch.setenv(variable, _substituted(str(value)))
    settings = Settings()
    assert settings.is_cluster
    assert settings.redis_url is not None


def test_every_image_is_pinned(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert re.fullmatch(r"[a-z/-]+:\d+\.\d+(\.\d+)?(-[a-z]+)?", service["image"]), name
    assert all(re.search(r":\d+\.\d+\.\d+-", line) for line in _base_images())


def test_whoever_waits_for_health_waits_for_a_check(services: dict[str, Any]) -> None:
    for service in services.values():
        for other, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in services[other]
            else:
                assert services[other]["command"] == ["migrate"]


def test_what_the_image_copies_is_there() -> None:
    for line in (PACKAGING / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY") and "--from" not in line:
            *sources, _ = line.split()[1:]
            assert all((PACKAGING.parent / source).exists() for source in sources), line


def _base_images() -> Iterator[str]:
    lines = (PACKAGING / "Dockerfile").read_text().splitlines()
    return (line for line in lines if line.startswith("FROM"))


def _substituted(text: str) -> str:
    """As compose does it: `${NAME:?…}` must be given, `${NAME:-default}` may be."""
    return re.sub(
        r"\$\{(\w+):([?-])([^}]*)\}",
        lambda found: GIVEN[found[1]] if found[2] == "?" else GIVEN.get(found[1], found[3]),
        text,
    )
