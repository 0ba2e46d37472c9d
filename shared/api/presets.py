"""Presets on the wire: what the server can run and what it asks for."""

from pydantic import BaseModel, ConfigDict, JsonValue

from shared.presets.manifest import InputKind, InputRole

__all__ = ["PresetDetail", "PresetInputInfo", "PresetList", "PresetSummary"]


class PresetSummary(BaseModel):
    """`instant` presets need no GPU server. `price` is in whole credits."""

    model_config = ConfigDict(frozen=True)

    id: str
    version: str
    digest: str
    name: str
    summary: str
    category: str
    tags: list[str]
    licence: str
    instant: bool
    price: int


class PresetList(BaseModel):
    model_config = ConfigDict(frozen=True)

    presets: list[PresetSummary]


class PresetInputInfo(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str
    label: str
    help: str
    kind: InputKind
    role: InputRole
    primary: bool
    min_count: int
    max_count: int


class PresetDetail(PresetSummary):
    """`values_schema` is a JSON Schema of a job's `values`; `parameters` describe the form."""

    inputs: list[PresetInputInfo]
    values_schema: dict[str, JsonValue]
    parameters: list[dict[str, JsonValue]]
