"""What `safelight presets` prints."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from desktop.cli.preset_check import Flaw
from shared.engines.builtin.classes import NODE_CLASSES
from shared.errors import JsonValue
from shared.legible import legible
from shared.presets.bundle import Preset
from shared.presets.manifest import Licence
from shared.presets.parameter import Parameter
from shared.presets.requires import ModelRequirement

__all__ = ["print_flaws", "print_preset_line", "print_preset_sheet", "print_preset_table"]


def print_preset_table(presets: Sequence[Preset]) -> None:
    table = Table("Id", "Name", "Kind", "For", "Version", box=None)
    for preset in presets:
        manifest = preset.manifest
        table.add_row(manifest.id, manifest.name, _kind(preset), manifest.category, manifest.version)
    Console(markup=False).print(table)


def print_preset_line(preset: Preset) -> None:
    """One JSON object on one line: the bundle's own declarations, and what follows from them."""
    declared: JsonValue = json.loads((preset.folder / "preset.json").read_text("utf-8"))
    line = {
        "id": preset.manifest.id,
        "kind": _kind(preset),
        "digest": preset.digest,
        "folder": str(preset.folder),
        "preset": declared,
    }
    sys.stdout.write(json.dumps(line) + "\n")


def print_preset_sheet(preset: Preset) -> None:
    manifest = preset.manifest
    console = Console(markup=False, highlight=False)
    console.print(f"{manifest.name} {manifest.version} · {_kind(preset)} · {_licence(manifest.licence)}")
    console.print(manifest.summary)
    table = Table("Setting", "Default", "Allowed", "Help", box=None)
    for parameter in sorted(manifest.parameters, key=lambda parameter: parameter.order):
        table.add_row(parameter.id, _text(parameter.default), _allowed(parameter), parameter.help)
    console.print(table)
    for value_set in manifest.value_sets:
        values = " ".join(f"--set {name}={_text(value)}" for name, value in value_set.values.items())
        console.print(f"{value_set.label}: {values}")
    for model in manifest.requires.models:
        console.print(f"Needs {_model(model)}")


def print_flaws(folder: Path, flaws: Sequence[Flaw], *, as_json: bool) -> None:
    if as_json:
        for flaw in flaws:
            sys.stdout.write(json.dumps(_flaw_line(folder, flaw)) + "\n")
        return
    sound = all(flaw.note for flaw in flaws)
    sys.stdout.write(f"{legible(folder.name)}: {'sound' if sound else 'has flaws'}\n")
    for flaw in flaws:
        place = " · ".join(
            part for part in (flaw.file, flaw.field, flaw.node and f"node {flaw.node}") if part
        )
        sys.stdout.write(f"  {'note' if flaw.note else 'flaw'}: {legible(f'{place}: {flaw.message}')}\n")


def _flaw_line(folder: Path, flaw: Flaw) -> dict[str, JsonValue]:
    return {
        "bundle": str(folder),
        "level": "note" if flaw.note else "flaw",
        "file": flaw.file,
        "field": flaw.field,
        "node": flaw.node,
        "message": flaw.message,
    }


def _kind(preset: Preset) -> str:
    return "instant" if preset.manifest.instant(NODE_CLASSES) else "AI"


def _licence(licence: Licence) -> str:
    use = "for commercial use too" if licence.commercial_use else "not for commercial use"
    strictest = f"; its models: {licence.strictest_model}" if licence.strictest_model else ""
    return f"{licence.spdx}, {use}{strictest}"


def _model(model: ModelRequirement) -> str:
    size = "" if model.size_bytes is None else f"{model.size_bytes / 1e9:.1f} GB"
    facts = (f"models/{model.folder}/{model.filename}", size, model.licence, model.url)
    return " · ".join(fact for fact in facts if fact)


def _allowed(parameter: Parameter) -> str:
    if parameter.choices:
        return ", ".join(choice.value for choice in parameter.choices)
    if parameter.choices_from is not None:
        return "what the server has"
    if parameter.min is None and parameter.max is None:
        return parameter.type
    low = "" if parameter.min is None else f"{parameter.min:g}"
    high = "" if parameter.max is None else f"{parameter.max:g}"
    return f"{low} – {high} {parameter.unit}".rstrip()


def _text(value: JsonValue) -> str:
    match value:
        case str():
            return value
        case [width, height]:
            return f"{width}x{height}"
        case _:
            return json.dumps(value)
