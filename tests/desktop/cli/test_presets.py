"""`safelight presets` as a user types it."""

import json
import shutil
from pathlib import Path

import pytest

from shared.presets.bundle import shipped_presets_folder
from tests.desktop.cli.command import Here


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's own preset: noir under another id."""
    folder = Path(shutil.copytree(shipped_presets_folder() / "noir", tmp_path / "my-noir"))
    text = (folder / "preset.json").read_text("utf-8")
    (folder / "preset.json").write_text(text.replace('"id": "noir"', '"id": "my-noir"'), "utf-8")
    return folder


def test_list_names_every_preset_and_its_kind(here: Here, tmp_path: Path) -> None:
    table = here(tmp_path, "presets", "list")
    assert table.code == 0
    assert "product-glow" in table.out
    lines = [json.loads(line) for line in here(tmp_path, "presets", "list", "--json").out.splitlines()]
    kinds = {line["id"]: line["kind"] for line in lines}
    assert kinds["cinematic"] == "instant"
    assert kinds["portrait-pro"] == "AI"


def test_show_tells_settings_and_needs(here: Here, tmp_path: Path) -> None:
    sheet = here(tmp_path, "presets", "show", "portrait-pro")
    assert sheet.code == 0
    assert "strength" in sheet.out
    assert "models/checkpoints/v1-5-pruned-emaonly.safetensors" in sheet.out
    assert "for commercial use too" in sheet.out
    assert "4.3 GB" in sheet.out
    line = json.loads(here(tmp_path, "presets", "show", "noir", "--json").out)
    assert line["preset"]["parameters"][0]["id"] == "filter"


def test_an_unknown_preset_is_a_usage_error(here: Here, tmp_path: Path) -> None:
    answer = here(tmp_path, "presets", "show", "nope")
    assert answer.code == 2
    assert "there are cinematic" in answer.err


def test_check_runs_the_samples(here: Here, tmp_path: Path, own: Path) -> None:
    answer = here(tmp_path, "presets", "check", own)
    assert (answer.code, answer.out) == (0, "my-noir: sound\n")
    shutil.copy(own / "before.webp", own / "after.webp")
    answer = here(tmp_path, "presets", "check", own, "--json")
    assert answer.code == 1
    flaw = json.loads(answer.out)
    assert (flaw["level"], flaw["field"]) == ("flaw", "samples.look")
    assert "differs from after.webp" in flaw["message"]


def test_pack_and_install(here: Here, tmp_path: Path, own: Path) -> None:
    file = tmp_path / "shared.safelight"
    packed = here(tmp_path, "presets", "pack", own, "--out", file)
    assert packed.code == 0
    assert "signed SHA256:" in packed.out
    assert here(tmp_path / "other", "presets", "install", file).code == 0
    assert "my-noir" in here(tmp_path / "other", "presets", "list").out

    file.write_bytes(file.read_bytes()[:-40])
    broken = here(tmp_path / "other", "presets", "install", file)
    assert broken.code == 2
    assert "shared.safelight" in broken.err


def test_a_flawed_bundle_is_not_packed(here: Here, tmp_path: Path, own: Path) -> None:
    (own / "cover.webp").unlink()
    answer = here(tmp_path, "presets", "pack", own, "--out", tmp_path / "x.safelight")
    assert answer.code == 2
    assert not (tmp_path / "x.safelight").exists()


def test_import_makes_a_draft_that_check_completes(here: Here, tmp_path: Path) -> None:
    graph = tmp_path / "workflow.json"
    shutil.copy(shipped_presets_folder() / "matte-film" / "graph.json", graph)
    made = here(tmp_path, "presets", "import", graph, "--id", "my-film", "--out", tmp_path)
    assert made.code == 0
    checked = here(tmp_path, "presets", "check", tmp_path / "my-film")
    assert checked.code == 1
    assert "looks.cover" in checked.out
    assert "bindings" not in checked.out
    again = here(tmp_path, "presets", "import", graph, "--id", "my-film", "--out", tmp_path)
    assert (again.code, "already" in again.err) == (2, True)
    graph.write_text('{"nodes": [], "links": []}')
    editor = here(tmp_path, "presets", "import", graph, "--id", "other", "--out", tmp_path)
    assert (editor.code, "API format" in editor.err) == (2, True)
