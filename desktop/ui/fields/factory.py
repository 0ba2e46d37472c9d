"""Which editor a parameter gets."""

from typing import assert_never

from desktop.ui.fields.choice_field import ChoiceField
from desktop.ui.fields.color_field import ColorField
from desktop.ui.fields.lora_field import LoraField
from desktop.ui.fields.number_field import NumberField
from desktop.ui.fields.seed_field import SeedField
from desktop.ui.fields.size_field import SizeField
from desktop.ui.fields.text_field import PromptField, TextField
from desktop.ui.fields.toggle_field import ToggleField
from shared.presets.parameter import Parameter, ParameterType

__all__ = ["AnyField", "field_for"]

AnyField = (
    NumberField
    | ToggleField
    | TextField
    | PromptField
    | ChoiceField
    | SeedField
    | ColorField
    | SizeField
    | LoraField
)


def field_for(parameter: Parameter) -> AnyField:  # noqa: PLR0911  # one for each type
    match parameter.type:
        case ParameterType.INT | ParameterType.FLOAT | ParameterType.DURATION:
            return NumberField(parameter)
        case ParameterType.BOOL:
            return ToggleField(parameter.label)
        case ParameterType.TEXT:
            return TextField()
        case ParameterType.PROMPT:
            return PromptField()
        case ParameterType.ENUM | ParameterType.MODEL:
            return ChoiceField(parameter)
        case ParameterType.SEED:
            return SeedField(largest=parameter.max)
        case ParameterType.COLOR:
            return ColorField(parameter.label)
        case ParameterType.SIZE:
            return SizeField(parameter)
        case ParameterType.LORA_LIST:
            return LoraField(parameter)
        case _:
            assert_never(parameter.type)
