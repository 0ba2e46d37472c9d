"""What the shipped presets declare."""

from shared.engines.builtin.classes import NODE_CLASSES
from shared.presets.bundle import load_preset, preset_folders, shipped_presets_folder

PRESETS = {folder.name: load_preset(folder) for folder in preset_folders(shipped_presets_folder())}


def test_six_are_instant_and_portrait_pro_is_not() -> None:
    instant = {name for name, preset in PRESETS.items() if preset.manifest.instant(NODE_CLASSES)}
    assert len(instant) == 6
    assert set(PRESETS) - instant == {"portrait-pro"}


def test_every_preset_names_the_licence_and_pinned_nodes() -> None:
    for preset in PRESETS.values():
        assert preset.manifest.licence.spdx == "CC0-1.0"
        assert all(need.ref for need in preset.manifest.requires.nodes)


def test_portrait_pro_names_the_file_it_wants() -> None:
    preset = PRESETS["portrait-pro"]
    (model,) = preset.manifest.requires.models
    assert (model.folder, model.parameter) == ("checkpoints", "model")
    assert model.filename == "v1-5-pruned-emaonly.safetensors"
