"""Old `preset.json` documents brought to the present schema, one major version at a time."""

from collections.abc import Callable, Mapping

from shared.errors import JsonValue
from shared.presets.errors import NewerPreset, PresetError

__all__ = ["STEPS", "Document", "Step", "upgrade"]

Document = Mapping[str, JsonValue]
Step = Callable[[Document], Document]

# From each old major version to the next; every one has a fixture in tests/data/presets/schema.
STEPS: Mapping[int, Step] = {}


def upgrade(document: Document, *, to: int, file: str, steps: Mapping[int, Step] = STEPS) -> Document:
    """The document at major version `to`. NewerPreset when it was written for a later one."""
    major = _major(document, file)
    if major > to:
        raise NewerPreset(
            f"{file} has schema version {major}, this Safelight reads up to {to}; update Safelight",
            file=file,
            field="schema_version",
        )
    while major < to:
        if major not in steps:
            raise PresetError(
                f"{file}: schema version {major} was never released; the first is {min(steps, default=to)}",
                file=file,
                field="schema_version",
            )
        document = {**steps[major](document), "schema_version": f"{major + 1}.0"}
        major += 1
    return document


def _major(document: Document, file: str) -> int:
    version = document.get("schema_version")
    major, dot, minor = version.partition(".") if isinstance(version, str) else ("", "", "")
    if not (dot and major.isascii() and major.isdecimal() and minor.isascii() and minor.isdecimal()):
        raise PresetError(
            f'{file}: schema_version must be a text such as "1.0"', file=file, field="schema_version"
        )
    return int(major)
