"""What a hot folder cannot do is said when it is set up."""

from dataclasses import replace
from pathlib import Path

import pytest

from desktop.watching.hot_folder import NeedsCompanions, set_up_hot_folder
from shared.errors import UsageError
from shared.presets.bundle import Preset
from shared.presets.errors import InvalidValue
from shared.presets.manifest import PresetInput


def _set_up(folder: Path, preset: Preset, *inputs: PresetInput) -> None:
    changed = replace(preset, manifest=replace(preset.manifest, inputs=inputs))
    set_up_hot_folder(source=folder, out=folder.with_name("out"), preset=changed, values={})


def test_a_preset_whose_second_picture_has_no_name_is_refused(tmp_path: Path, preset: Preset) -> None:
    [photo] = preset.manifest.inputs
    mask = replace(photo, id="mask", label="Mask", primary=False)
    refused: list[tuple[type[UsageError], str, tuple[PresetInput, ...]]] = [
        (NeedsCompanions, "needs Mask beside each picture", (photo, mask)),
        (InvalidValue, "takes no files", ()),
    ]
    for error, said, inputs in refused:
        with pytest.raises(error, match=said):
            _set_up(tmp_path, preset, *inputs)
    _set_up(tmp_path, preset, photo, replace(mask, min_count=0))
    _set_up(tmp_path, preset, photo, replace(mask, pair_by="*_mask"))
