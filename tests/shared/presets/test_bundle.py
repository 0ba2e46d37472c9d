"""Bundles on disk: loaded, saved, found."""

import json
from pathlib import Path

import pytest

from shared.presets.bundle import (
    load_preset,
    preset_folders,
    sample_photos_folder,
    save_manifest,
    shipped_presets_folder,
)
from shared.presets.errors import PresetError
from tests.shared.presets.samples import write_bundle


def test_loading_gives_manifest_graph_and_digest(tmp_path: Path) -> None:
    preset = load_preset(write_bundle(tmp_path))
    assert preset.manifest.id == "first-format"
    assert sorted(preset.graph.nodes) == ["1", "2", "3"]
    assert len(preset.digest) == 64


def test_digest_follows_what_decides_results_alone(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    before = load_preset(bundle).digest
    (bundle / "cover.webp").write_bytes(b"another look")
    assert load_preset(bundle).digest == before
    graph = (bundle / "graph.json").read_text("utf-8")
    (bundle / "graph.json").write_text(graph.replace('"sigma": 1.0', '"sigma": 2.0'), "utf-8")
    assert load_preset(bundle).digest != before


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("preset.json", None, r"has no preset\.json"),
        ("graph.json", None, r"has no graph\.json"),
        ("graph.json", b"\xff\xfe", "not UTF-8"),
        ("graph.json", b'{"1": 3}', "node 1 is not an object"),
        ("graph.json", b'{"nodes": [], "links": []}', "API format"),
        ("graph.json", b"{}", "does not have"),
    ],
)
def test_broken_bundles_name_the_file(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    path = write_bundle(tmp_path) / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PresetError, match=says):
        load_preset(path.parent)


def test_saving_keeps_what_others_added(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, mood="calm")
    preset = load_preset(bundle)
    save_manifest(bundle, preset.manifest)
    assert json.loads((bundle / "preset.json").read_text("utf-8"))["mood"] == "calm"
    assert load_preset(bundle).manifest == preset.manifest


def test_only_visible_folders_with_a_manifest_are_bundles(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    (tmp_path / "samples").mkdir()
    write_bundle(tmp_path / ".safelight-half")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "preset.json").write_text("{}")
    assert preset_folders(tmp_path) == (bundle,)
    assert preset_folders(tmp_path / "nowhere") == ()


def test_shipped_presets_and_sample_photographs_are_found() -> None:
    names = {folder.name for folder in preset_folders(shipped_presets_folder())}
    assert {"product-glow", "cinematic", "thumbnail", "portrait-pro"} <= names
    assert len(names) == 7
    photos = {path.name for path in sample_photos_folder().glob("*.jpg")}
    credits_text = (sample_photos_folder() / "CREDITS.md").read_text("utf-8")
    assert len(photos) >= 5
    assert all(photo in credits_text for photo in photos)
