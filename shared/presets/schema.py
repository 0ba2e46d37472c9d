"""`preset.json` as text: read into a manifest, written back, described as a JSON Schema."""

import json

from pydantic import TypeAdapter, ValidationError

from shared.errors import JsonValue
from shared.presets.document import merged, read_document, unknown_paths
from shared.presets.errors import PresetError
from shared.presets.manifest import SCHEMA_VERSION, Manifest
from shared.presets.upgrade import Document, upgrade

__all__ = ["json_schema", "parse_manifest", "unknown_fields", "updated_text"]

_MANIFEST = TypeAdapter(Manifest)
_MAJOR = int(SCHEMA_VERSION.partition(".")[0])


def parse_manifest(text: str, *, file: str = "preset.json") -> Manifest:
    """Read a manifest of this or an older version; PresetError names the file and the field."""
    return _validated(_present(text, file), file)


def unknown_fields(text: str, *, file: str = "preset.json") -> tuple[str, ...]:
    """The paths of fields that this version does not know; they are kept on save."""
    document = _present(text, file)
    return tuple(unknown_paths(document, _complete(_validated(document, file))))


def updated_text(old: str | None, manifest: Manifest) -> str:
    """The text of `preset.json` for `manifest`, with the unknown fields of the text it replaces."""
    new: JsonValue = _MANIFEST.dump_python(manifest, mode="json", exclude_defaults=True)
    if old is not None:
        document = _present(old, "preset.json")
        new = merged(document, new, _complete(_validated(document, "preset.json")))
    return json.dumps(new, indent=2, ensure_ascii=False) + "\n"


def json_schema() -> dict[str, JsonValue]:
    """JSON Schema (draft 2020-12) of `preset.json`."""
    schema: dict[str, JsonValue] = _MANIFEST.json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Safelight preset",
        "description": f"preset.json of a preset bundle, schema version {SCHEMA_VERSION}",
    }


def _present(text: str, file: str) -> Document:
    return upgrade(read_document(text, file=file), to=_MAJOR, file=file)


def _validated(document: Document, file: str) -> Manifest:
    try:
        return _MANIFEST.validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = _field_path(first["loc"])
        raise PresetError(f"{file}: {field}: {first['msg']}", file=file, field=field) from error


def _complete(manifest: Manifest) -> JsonValue:
    """With every field, those at their default included."""
    document: JsonValue = _MANIFEST.dump_python(manifest, mode="json")
    return document


def _field_path(location: tuple[int | str, ...]) -> str:
    """("inputs", 0, "label") → "inputs[0].label"."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path or "the document"
