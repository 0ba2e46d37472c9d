"""The bundles that a `safelight presets` command is about."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from desktop.catalog import Catalog
from desktop.cli.preset_check import Flaw, check_bundle
from desktop.cli.preset_sample import sample_flaws
from desktop.settings import load_settings
from shared.engines.builtin.classes import NODE_CLASSES
from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool
from shared.presets.bundle import (
    MANIFEST_FILE,
    Preset,
    load_preset,
    preset_folders,
    shipped_presets_folder,
)

__all__ = ["all_flaws", "bundles_named", "preset_here", "presets_here"]


def presets_here() -> tuple[Preset, ...]:
    """By name; a user's preset stands before a shipped one, a broken bundle is left out."""
    return asyncio.run(_catalog().all())


def preset_here(preset_id: str) -> Preset:
    """Raises UnknownPreset naming those there are."""
    return asyncio.run(_catalog().find(preset_id))


def bundles_named(names: Sequence[str]) -> tuple[Path, ...]:
    """Folders as they are, ids as the folders of those presets; no names: all bundles here."""
    if not names:
        return tuple(bundle for shelf in _shelves() for bundle in preset_folders(shelf))
    return tuple(_bundle(name) for name in names)


async def all_flaws(folders: Sequence[Path], *, run: bool) -> list[tuple[Path, tuple[Flaw, ...]]]:
    """Flaws by folder; the samples run on the built-in engine where nothing else was found."""
    with tempfile.TemporaryDirectory(prefix="safelight-check-") as state:
        pool = ProcessPool()
        engine = BuiltinEngine(state_folder=Path(state), pool=pool)
        try:
            return [(folder, await _flaws(folder, engine if run else None)) for folder in folders]
        finally:
            await engine.aclose()
            await pool.aclose()


async def _flaws(folder: Path, engine: BuiltinEngine | None) -> tuple[Flaw, ...]:
    flaws = check_bundle(folder)
    if engine is None or not all(flaw.note for flaw in flaws):
        return flaws
    preset = load_preset(folder)
    if not preset.manifest.instant(NODE_CLASSES):
        says = "needs a ComfyUI, so its samples were not run"
        return (*flaws, Flaw(file=MANIFEST_FILE, field="samples", message=says, note=True))
    return (*flaws, *[flaw async for flaw in sample_flaws(engine, preset)])


def _shelves() -> tuple[Path, Path]:
    return shipped_presets_folder(), load_settings().paths.presets


def _catalog() -> Catalog:
    return Catalog(_shelves())


def _bundle(name: str) -> Path:
    return Path(name) if Path(name).is_dir() else preset_here(name).folder
