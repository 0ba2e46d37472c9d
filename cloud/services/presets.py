"""The presets that are offered, and what they ask for."""

from collections.abc import Collection, Mapping

from pydantic import TypeAdapter

from cloud.errors import InvalidRequest, NotFound
from shared.api.presets import PresetDetail, PresetInputInfo, PresetList, PresetSummary
from shared.errors import JsonValue
from shared.presets.bundle import Preset
from shared.presets.parameter import Parameter, ParameterType

__all__ = ["BUILTIN_POOL", "FETCHING_POOL", "SERVER_POOL", "Presets"]

BUILTIN_POOL = "builtin"
SERVER_POOL = "comfy"
FETCHING_POOL = ":inputs"  # of jobs whose files are still fetched; no server can be in it

_PARAMETER = TypeAdapter(Parameter)
_JSON_TYPES: Mapping[ParameterType, JsonValue] = {
    ParameterType.INT: "integer",
    ParameterType.SEED: "integer",
    ParameterType.FLOAT: "number",
    ParameterType.DURATION: "number",
    ParameterType.BOOL: "boolean",
    ParameterType.SIZE: "array",
    ParameterType.LORA_LIST: "array",
}


class Presets:
    """`builtin_classes` are the node classes that run without a GPU server."""

    def __init__(self, *, presets: Mapping[str, Preset], builtin_classes: Collection[str]) -> None:
        self._presets = presets
        self._builtin_classes = builtin_classes

    def list(self) -> PresetList:
        return PresetList(presets=[self._summary(preset) for preset in self._presets.values()])

    def find(self, preset_id: str) -> Preset | None:
        return self._presets.get(preset_id)

    def show(self, preset_id: str) -> PresetDetail:
        """Raises NotFound."""
        preset = self._presets.get(preset_id)
        if preset is None:
            raise NotFound(f"there is no preset {preset_id!r}", preset=preset_id)
        manifest = preset.manifest
        return PresetDetail(
            **dict(self._summary(preset)),
            inputs=[
                PresetInputInfo(
                    id=declared.id,
                    label=declared.label,
                    help=declared.help,
                    kind=declared.kind,
                    role=declared.role,
                    primary=declared.primary,
                    min_count=declared.min_count,
                    max_count=declared.max_count,
                )
                for declared in manifest.inputs
            ],
            values_schema=_values_schema(manifest.parameters),
            parameters=[_PARAMETER.dump_python(item, mode="json") for item in manifest.parameters],
        )

    def chosen(self, preset_id: str, version: str | None) -> Preset:
        """For a new job. Raises InvalidRequest, which names the field."""
        preset = self._presets.get(preset_id)
        if preset is None:
            names = ", ".join(sorted(self._presets))
            raise InvalidRequest(f"there is no preset {preset_id!r}; there are {names}", field="preset")
        if version not in {None, preset.manifest.version}:
            raise InvalidRequest(
                f"{preset_id} is offered in version {preset.manifest.version}, not {version}",
                field="preset_version",
            )
        return preset

    def is_instant(self, preset: Preset) -> bool:
        """Whether it runs without a GPU server."""
        return preset.manifest.instant(self._builtin_classes)

    def _summary(self, preset: Preset) -> PresetSummary:
        manifest = preset.manifest
        return PresetSummary(
            id=manifest.id,
            version=manifest.version,
            digest=preset.digest,
            name=manifest.name,
            summary=manifest.summary,
            category=manifest.category,
            tags=list(manifest.tags),
            licence=manifest.licence.spdx,
            instant=self.is_instant(preset),
            price=manifest.price,
        )


def _values_schema(parameters: Collection[Parameter]) -> dict[str, JsonValue]:
    """JSON Schema (draft 2020-12) of a job's `values`."""
    return {
        "type": "object",
        "properties": {parameter.id: _value_schema(parameter) for parameter in parameters},
        "additionalProperties": False,
    }


def _value_schema(parameter: Parameter) -> dict[str, JsonValue]:
    schema: dict[str, JsonValue] = {
        "type": _JSON_TYPES.get(parameter.type, "string"),
        "title": parameter.label,
        "description": parameter.help,
        "default": parameter.default,
    }
    limits = {"minimum": parameter.min, "maximum": parameter.max, "maxLength": parameter.max_length}
    if parameter.type is ParameterType.SIZE:
        schema |= {"items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
    else:
        schema |= {name: limit for name, limit in limits.items() if limit is not None}
    if parameter.type is ParameterType.COLOR:
        schema["pattern"] = "^#[0-9a-fA-F]{6}$"
    if parameter.choices and parameter.choices_from is None:
        schema["enum"] = [choice.value for choice in parameter.choices]
    return schema
