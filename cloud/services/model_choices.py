"""The values of a job that choose model files, as text: jobs with the same text need the same models."""

import json
from collections.abc import Mapping

from cloud.errors import InvalidRequest
from shared.errors import JsonValue
from shared.presets.bundle import Preset

__all__ = ["chosen_models", "model_choices"]

_LONGEST = 1000  # it is part of an index


def model_choices(preset: Preset, values: Mapping[str, JsonValue]) -> str:
    """Raises InvalidRequest, which names the field."""
    names = {need.parameter for need in preset.manifest.requires.models if need.parameter is not None}
    text = json.dumps({name: values[name] for name in sorted(names)}, ensure_ascii=True)
    if len(text) > _LONGEST:
        raise InvalidRequest(
            f"{', '.join(sorted(names))}: the name of a model file is too long", field=f"values.{min(names)}"
        )
    return text


def chosen_models(text: str) -> dict[str, str]:
    choices: dict[str, str] = json.loads(text)
    return choices
