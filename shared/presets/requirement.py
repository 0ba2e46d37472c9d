"""What of a preset's needs the engine that is to run it lacks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.errors import JsonValue
from shared.presets.bundle import Preset
from shared.presets.errors import RequirementsMissing
from shared.presets.requires import ModelRequirement, NodeRequirement

__all__ = ["Missing", "MissingKind", "match_model", "missing_requirements", "require"]


class MissingKind(StrEnum):
    NODE = "node"
    MODEL = "model"
    LABEL = "label"  # of a server, which its operator gave it


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One thing an engine lacks. `message` is a sentence that says what to install, and where."""

    kind: MissingKind
    name: str
    message: str


def match_model(wanted: str, offered: Collection[str]) -> str | None:
    """The name under which a server offers `wanted`: the same text, else the one with its base name.

    None when there is none, or when several share the base name: a model is never guessed.
    """
    if wanted in offered:
        return wanted
    same = [name for name in offered if _base_name(name) == _base_name(wanted)]
    return same[0] if len(same) == 1 else None


def missing_requirements(
    preset: Preset,
    node_classes: Collection[str] | None,
    models: Mapping[str, Collection[str]],
    values: Mapping[str, JsonValue] | None = None,
) -> tuple[Missing, ...]:
    """All that an engine with these node classes and models (by folder) lacks.

    `node_classes` None means not known, and nothing is said of them. Without `values`, models that
    a parameter chooses are looked for by that parameter's default.
    """
    manifest = preset.manifest
    nodes = () if node_classes is None else manifest.requires.nodes
    missing = [_missing_node(need) for need in nodes if need.class_type not in (node_classes or ())]
    chosen = values or {parameter.id: parameter.default for parameter in manifest.parameters}
    for need in manifest.requires.models:
        filename = chosen.get(need.parameter) if need.parameter else need.filename
        if isinstance(filename, str) and match_model(filename, models.get(need.folder, ())) is None:
            missing.append(_missing_model(need, filename))
    return tuple(missing)


def require(preset: Preset, missing: Collection[Missing]) -> None:
    """Raise RequirementsMissing, whose message names each thing that is missing."""
    if missing:
        raise RequirementsMissing(
            f"{preset.manifest.name} cannot run here: {'; '.join(item.message for item in missing)}",
            preset=preset.manifest.id,
            missing=[item.name for item in missing],
        )


def _missing_node(need: NodeRequirement) -> Missing:
    if need.package == "comfyui":
        newest = f" to {need.ref} or later" if need.ref else ""
        remedy = f"it is one of ComfyUI's own, so update ComfyUI{newest}"
    else:
        pinned = f" at {need.ref}" if need.ref else ""
        remedy = f"install the custom node package {need.package}{pinned}"
    return Missing(
        kind=MissingKind.NODE,
        name=need.class_type,
        message=f"the node class {need.class_type} is not there: {remedy}",
    )


def _missing_model(need: ModelRequirement, filename: str) -> Missing:
    source = f", from {need.url}" if need.url and filename == need.filename else ""
    return Missing(
        kind=MissingKind.MODEL,
        name=filename,
        message=f"the model file {filename} is missing; put it into ComfyUI's models/{need.folder}{source}",
    )


def _base_name(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]
