"""preset.json: read strictly, saved without loss, described by a schema that is current."""

import json
from pathlib import Path

import pytest

from shared.errors import JsonValue
from shared.presets.errors import NewerPreset, PresetError
from shared.presets.parameter import Level, ParameterType
from shared.presets.schema import json_schema, parse_manifest, unknown_fields, updated_text
from shared.presets.upgrade import upgrade
from tests.shared.presets.samples import FIRST_FORMAT

ROOT = Path(__file__).parents[3]


def changed(**fields: JsonValue) -> str:
    return json.dumps({**json.loads(FIRST_FORMAT), **fields})


def test_first_format_is_read() -> None:
    manifest = parse_manifest(FIRST_FORMAT)
    assert (manifest.id, manifest.version, manifest.price) == ("first-format", "1.2.3", 0)
    (parameter,) = manifest.parameters
    assert (parameter.type, parameter.level) == (ParameterType.FLOAT, Level.ADVANCED)
    assert parameter.relative_to == "shorter_side"
    assert manifest.primary_input is manifest.inputs[0]
    assert manifest.primary_output.id == "picture"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"name": 3}, "name"),
        ({"inputs": [{"id": "photo", "label": "Photo", "targets": []}]}, "inputs[0].targets"),
        ({"parameters": [{"id": "a", "type": "number", "label": "A"}]}, "parameters[0].type"),
        ({"parameters": [{"id": "a", "type": "int", "label": "A", "step": 0}]}, "parameters[0].step"),
        ({"price": "12"}, "price"),
        ({"timeout_s": 0}, "timeout_s"),
    ],
)
def test_wrong_field_is_named(fields: dict[str, JsonValue], place: str) -> None:
    with pytest.raises(PresetError) as caught:
        parse_manifest(changed(**fields))
    assert caught.value.details["field"] == place
    assert place in caught.value.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "one JSON object"),
        ("{", "not valid JSON"),
        ('{"id": "a", "id": "b"}', "twice"),
        ('{"price": NaN}', "not a number"),
        ("[" * 100_000, "nested too deeply"),
        ('{"schema_version": 1}', "schema_version"),
        ('{"schema_version": "0.9"}', "never released"),
    ],
)
def test_unreadable_documents_are_refused(text: str, says: str) -> None:
    with pytest.raises(PresetError, match=says):
        parse_manifest(text)


def test_newer_major_version_is_refused_and_newer_minor_read() -> None:
    with pytest.raises(NewerPreset, match="update Safelight"):
        parse_manifest(changed(schema_version="2.0"))
    assert parse_manifest(changed(schema_version="1.7")).schema_version == "1.7"


def test_old_documents_are_upgraded_step_by_step() -> None:
    steps = {
        1: lambda document: {**document, "seen": "one"},
        2: lambda document: {**document, "seen": f"{document['seen']} two"},
    }
    upgraded = upgrade({"schema_version": "1.4"}, to=3, file="preset.json", steps=steps)
    assert upgraded == {"schema_version": "3.0", "seen": "one two"}


def test_unknown_fields_are_reported_and_kept() -> None:
    document = json.loads(FIRST_FORMAT)
    document["mood"] = "calm"
    document["inputs"][0]["hint"] = {"deep": 1}
    document["parameters"].insert(
        0, {"id": "new", "type": "bool", "label": "New", "default": True, "icon": "x"}
    )
    text = json.dumps(document)
    assert sorted(unknown_fields(text)) == ["inputs[0].hint", "mood", "parameters[0].icon"]

    manifest = parse_manifest(text)
    saved = json.loads(updated_text(text, manifest))
    assert saved["mood"] == "calm"
    assert saved["inputs"][0]["hint"] == {"deep": 1}
    assert saved["parameters"][0]["icon"] == "x"
    assert parse_manifest(json.dumps(saved)) == manifest


def test_saving_a_manifest_without_a_predecessor_round_trips() -> None:
    manifest = parse_manifest(FIRST_FORMAT)
    assert parse_manifest(updated_text(None, manifest)) == manifest


def test_published_schema_is_current() -> None:
    published = json.loads((ROOT / "docs/preset.schema.json").read_text("utf-8"))
    assert published == json_schema(), "run `make schema`"
