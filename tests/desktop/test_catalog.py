"""The presets on this machine."""

import json
import shutil
from pathlib import Path

import pytest

from desktop.catalog import Catalog, PresetGone, UnknownPreset
from shared.presets.bundle import shipped_presets_folder


def _installed(folder: Path, *, name: str) -> Path:
    bundle = folder / "noir"
    shutil.copytree(shipped_presets_folder() / "noir", bundle)
    manifest = json.loads((bundle / "preset.json").read_text())
    (bundle / "preset.json").write_text(json.dumps(manifest | {"name": name}))
    return bundle


async def test_a_preset_of_the_users_stands_before_the_shipped_one(tmp_path: Path) -> None:
    _installed(tmp_path, name="My Noir")
    catalog = Catalog((shipped_presets_folder(), tmp_path))
    assert (await catalog.find("noir")).manifest.name == "My Noir"
    assert len(await catalog.all()) == len(await Catalog((shipped_presets_folder(),)).all())


async def test_a_broken_preset_takes_no_other_with_it(tmp_path: Path) -> None:
    _installed(tmp_path, name="My Noir")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "preset.json").write_text("{")
    assert [preset.manifest.id for preset in await Catalog((tmp_path,)).all()] == ["noir"]


async def test_a_version_that_was_changed_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    bundle = _installed(tmp_path, name="My Noir")
    catalog = Catalog((tmp_path,))
    before = await catalog.find("noir")
    shutil.rmtree(bundle)
    _installed(tmp_path, name="Another Noir")
    assert await catalog.find("noir", digest=before.digest) is before
    catalog.forget()
    with pytest.raises(PresetGone, match="was changed"):
        await catalog.find("noir", digest=before.digest)
    with pytest.raises(UnknownPreset, match="there are noir"):
        await catalog.find("bleach")
