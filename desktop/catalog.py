"""The presets on this machine: those shipped, and those the user installed."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from shared.errors import UsageError
from shared.presets.bundle import Preset, load_preset, preset_folders
from shared.presets.errors import PresetError

__all__ = ["Catalog", "PresetGone", "UnknownPreset"]

_log = structlog.get_logger()


class UnknownPreset(UsageError):
    code = "unknown_preset"


class PresetGone(UsageError):
    """The version that a job names is no longer there."""

    code = "preset_gone"


class Catalog:
    """Later folders come first: a user's preset stands before a shipped one of the same id."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._presets: dict[str, Preset] | None = None
        self._loading = asyncio.Lock()

    async def all(self) -> tuple[Preset, ...]:
        """In the order of their names. A bundle that is broken is left out, and logged."""
        presets = await self._loaded()
        return tuple(sorted(presets.values(), key=lambda preset: preset.manifest.name))

    async def find(self, preset_id: str, *, digest: str | None = None) -> Preset:
        """Raises UnknownPreset naming those there are; PresetGone if only another version is there."""
        presets = await self._loaded()
        preset = presets.get(preset_id)
        if preset is None:
            names = ", ".join(sorted(presets))
            raise UnknownPreset(f"there is no preset {preset_id!r}; there are {names}", field="preset")
        if digest is not None and preset.digest != digest:
            raise PresetGone(
                f"the preset {preset_id} was changed after this job was submitted: submit the file again",
                field="preset",
            )
        return preset

    def forget(self) -> None:
        """Read the folders again when next asked: a preset was installed or changed."""
        self._presets = None

    async def _loaded(self) -> dict[str, Preset]:
        async with self._loading:
            if self._presets is None:
                self._presets = await asyncio.to_thread(_load, self._folders)
            return self._presets


def _load(folders: Sequence[Path]) -> dict[str, Preset]:
    presets: dict[str, Preset] = {}
    for folder in folders:
        for bundle in preset_folders(folder):
            try:
                preset = load_preset(bundle)
            except PresetError as error:
                _log.warning("preset_left_out", folder=str(bundle), reason=error.message)
                continue
            presets[preset.manifest.id] = preset
    return presets
