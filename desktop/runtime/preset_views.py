"""Presets as the gallery shows them."""

from desktop.views import PresetView
from shared.engines.base import Capabilities
from shared.engines.builtin.classes import NODE_CLASSES
from shared.presets.bundle import Preset
from shared.presets.requirement import missing_requirements

__all__ = ["preset_view"]


def preset_view(preset: Preset, comfy: Capabilities | str | None) -> PresetView:
    """`comfy` is what the ComfyUI can do, or the sentence that says why it does not answer.

    None: it is started when it is needed, and known then.
    """
    manifest = preset.manifest
    instant = manifest.instant(NODE_CLASSES)
    return PresetView(
        id=manifest.id,
        version=manifest.version,
        name=manifest.name,
        summary=manifest.summary,
        category=manifest.category,
        tags=manifest.tags,
        licence=manifest.licence.spdx,
        instant=instant,
        cover=preset.folder / manifest.looks.cover.file,
        before=preset.folder / manifest.looks.before.file,
        after=preset.folder / manifest.looks.after.file,
        parameters=manifest.parameters,
        unavailable=None if instant else _why_not(preset, comfy),
    )


def _why_not(preset: Preset, comfy: Capabilities | str | None) -> str | None:
    if comfy is None or isinstance(comfy, str):
        return comfy
    missing = missing_requirements(preset, comfy.node_classes, comfy.models)
    return missing[0].message if missing else None
