"""What a command says of money before it sends anything to the cloud."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from shared.media import DEFAULT_OUTPUT_LIMITS
from shared.presets.bundle import Preset, load_preset, shipped_presets_folder
from tests.desktop.cli.command import Answer, safelight
from tests.support.cloud_server import CloudServer, cloud_server


def _priced(preset_id: str, price: int) -> Preset:
    preset = load_preset(shipped_presets_folder() / preset_id)
    return replace(preset, manifest=replace(preset.manifest, price=price))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudServer]:
    """Its account has a studio's 10,000 credits a month."""
    presets = {preset.manifest.id: preset for preset in (_priced("noir", 3), _priced("cinematic", 20_000))}
    folder = tmp_path_factory.mktemp("cloud")
    with cloud_server(folder, presets=presets, output_limits=DEFAULT_OUTPUT_LIMITS) as server:
        yield server


def _developed(server: CloudServer, folder: Path, preset: str, *more: str) -> Answer:
    Image.new("RGB", (48, 32), (10, 20, 30)).save(folder / "in.png")
    env = {"SAFELIGHT_CLOUD_URL": server.url, "SAFELIGHT_API_KEY": server.key}
    command = ("develop", folder / "in.png", "--preset", preset, "--out", folder / "out", "--engine", "cloud")
    return safelight(folder / "data", *command, *more, env=env)


def test_the_price_comes_first_in_words_and_as_json(server: CloudServer, tmp_path: Path) -> None:
    told = _developed(server, tmp_path, "noir")
    assert told.code == 0, told.err
    assert told.err.startswith("safelight: the cloud asks 3 credits a job; 10000 credits available\n")
    again = _developed(server, tmp_path, "noir", "--json")
    assert again.code == 0, again.err
    notice = json.loads(again.err.splitlines()[0])
    assert (notice["notice"], notice["preset"], notice["price"]) == ("quote", "noir", 3)
    assert notice["available"] == 9997
    assert {event["job_id"] for event in again.events} == {again.events[0]["job_id"]}, (
        "events are of jobs alone"
    )
    assert again.events[-1]["event"] == "completed"


def test_what_is_free_is_called_so(server: CloudServer, tmp_path: Path) -> None:
    told = _developed(server, tmp_path, "matte-film")
    assert told.code == 0, told.err
    assert told.err.startswith("safelight: matte-film is free at the cloud\n")


def test_what_cannot_be_paid_is_not_begun(server: CloudServer, tmp_path: Path) -> None:
    told = _developed(server, tmp_path, "cinematic")
    assert (told.code, told.out) == (3, "")
    assert "a job costs 20000 credits and 99" in told.err
    assert f"get more at {server.url}/account" in told.err
