"""`presets check` finds every flaw of a bundle and says where it is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from desktop.cli.preset_check import Flaw, check_bundle
from shared.presets.bundle import preset_folders, shipped_presets_folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped_presets_folder() / "noir", tmp_path / "noir"))


def change(bundle: Path, file: str, edit: Callable[[Any], object]) -> None:
    document = json.loads((bundle / file).read_text("utf-8"))
    edit(document)
    (bundle / file).write_text(json.dumps(document), "utf-8")


def node(document: dict[str, Any], title: str) -> dict[str, Any]:
    return next(found for found in document.values() if found["_meta"]["title"] == title)


def only_flaw(bundle: Path) -> Flaw:
    (flaw,) = check_bundle(bundle)
    return flaw


@pytest.mark.parametrize("folder", preset_folders(shipped_presets_folder()), ids=lambda path: path.name)
def test_shipped_presets_are_without_flaw(folder: Path) -> None:
    assert check_bundle(folder) == ()


def test_unknown_fields_are_notes(bundle: Path) -> None:
    change(bundle, "preset.json", lambda document: document["looks"]["cover"].update(mood="dark"))
    flaw = only_flaw(bundle)
    assert (flaw.field, flaw.note) == ("looks.cover.mood", True)


def test_an_unreadable_manifest_is_named(bundle: Path) -> None:
    (bundle / "preset.json").write_text("{")
    assert only_flaw(bundle).file == "preset.json"
    (bundle / "preset.json").unlink()
    assert only_flaw(bundle).file == "preset.json"


def test_a_missing_or_broken_graph_is_named(bundle: Path) -> None:
    (bundle / "graph.json").write_text('{"1": {}}')
    flaw = only_flaw(bundle)
    assert (flaw.file, flaw.node) == ("graph.json", "1")
    (bundle / "graph.json").unlink()
    assert only_flaw(bundle).file == "graph.json"


def test_every_contradiction_is_listed(bundle: Path) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["bindings"][0]["targets"][0]["node"]["alias"] = "sl:nowhere"
        document["parameters"][1]["default"] = 1000

    change(bundle, "preset.json", edit)
    flaws = check_bundle(bundle)
    assert {flaw.field for flaw in flaws} == {"bindings[0] (filter)", "parameters.exposure.default"}
    assert {flaw.node for flaw in flaws} == {"“sl:nowhere”", None}


def test_a_value_that_the_engine_would_refuse_names_node_and_input(bundle: Path) -> None:
    change(bundle, "graph.json", lambda graph: node(graph, "surroundings")["inputs"].update(blur_radius=32))
    flaw = only_flaw(bundle)
    assert (flaw.file, flaw.field) == ("graph.json", "blur_radius")
    assert flaw.node is not None
    assert "32" in flaw.message


def test_a_dangling_link_names_the_node(bundle: Path) -> None:
    change(bundle, "graph.json", lambda graph: node(graph, "sl:glow")["inputs"].update(image2=["99", 0]))
    flaws = check_bundle(bundle)
    assert any(flaw.field == "image2" and "99" in flaw.message for flaw in flaws)


def test_looks_are_there_and_of_a_sane_size(bundle: Path) -> None:
    (bundle / "cover.webp").unlink()
    (bundle / "before.webp").write_bytes(b"RIFF no picture")
    Image.new("RGB", (64, 3000)).save(bundle / "after.webp")
    change(bundle, "preset.json", lambda document: document["looks"]["cover"].update(alt=" "))
    found = {(flaw.file, flaw.field) for flaw in check_bundle(bundle)}
    assert found == {
        ("preset.json", "looks.cover.alt"),
        ("cover.webp", "looks.cover"),
        ("before.webp", "looks.before"),
        ("after.webp", "looks.after"),
    }


def test_samples_and_folder_name_belong_to_the_preset(bundle: Path) -> None:
    moved = bundle.rename(bundle.with_name("else"))
    change(moved, "preset.json", lambda document: document.update(samples=[]))
    assert {flaw.field for flaw in check_bundle(moved)} == {"id", "samples"}
