"""How the inputs and outputs of a node class are declared."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from shared.errors import JsonValue

__all__ = [
    "ANYTHING",
    "BOOLEAN",
    "FILE",
    "IMAGE",
    "MASK",
    "TEXT",
    "InputSpec",
    "NodeSpec",
    "boolean",
    "combo",
    "decimal",
    "integer",
    "listed",
    "node",
    "optional",
    "text",
]

_Number = int | float


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input. `listed` choices are checked before a run, those of type COMBO only by the node.

    `is_file` marks a name that must be one of the input files.
    """

    type: str
    required: bool = True
    default: JsonValue = None
    min: _Number | None = None
    max: _Number | None = None
    step: _Number | None = None
    choices: tuple[str, ...] = ()
    listed: bool = False
    is_file: bool = False

    def to_json(self) -> JsonValue:
        """As the server writes it under `input` in /object_info."""
        limits: dict[str, JsonValue] = {
            "default": self.default,
            "min": self.min,
            "max": self.max,
            "step": self.step,
        }
        options: dict[str, JsonValue] = {name: value for name, value in limits.items() if value is not None}
        if self.is_file:
            options["image_upload"] = True
        if self.listed:
            return [list(self.choices), options]
        if self.type == "COMBO":
            return ["COMBO", options | {"options": list(self.choices)}]
        return [self.type, options]


@dataclass(frozen=True, slots=True)
class NodeSpec:
    class_type: str
    outputs: tuple[str, ...]
    is_output: bool
    inputs: Mapping[str, InputSpec]

    def to_json(self) -> dict[str, JsonValue]:
        """The entry of this class in /object_info."""
        names: dict[str, list[str]] = {"required": [], "optional": []}
        for name, spec in self.inputs.items():
            names["required" if spec.required else "optional"].append(name)
        return {
            "input": {
                section: {name: self.inputs[name].to_json() for name in members}
                for section, members in names.items()
                if members
            },
            "input_order": {section: members for section, members in names.items() if members},
            "output": list(self.outputs),
            "output_is_list": [False] * len(self.outputs),
            "output_name": list(self.outputs),
            "name": self.class_type,
            "display_name": self.class_type,
            "output_node": self.is_output,
        }


IMAGE = InputSpec("IMAGE")
MASK = InputSpec("MASK")
TEXT = InputSpec("STRING")
BOOLEAN = InputSpec("BOOLEAN")
ANYTHING = InputSpec("*")
FILE = InputSpec("COMBO", listed=True, is_file=True)


def integer(default: int | None, low: int | None, high: int | None) -> InputSpec:
    return InputSpec("INT", default=default, min=low, max=high)


def decimal(default: float | None, low: float, high: float, step: float | None = None) -> InputSpec:
    return InputSpec("FLOAT", default=default, min=low, max=high, step=step)


def text(default: str) -> InputSpec:
    return InputSpec("STRING", default=default)


def boolean(*, default: bool) -> InputSpec:
    return InputSpec("BOOLEAN", default=default)


def listed(*choices: str, default: str | None = None) -> InputSpec:
    return InputSpec("COMBO", default=default, choices=choices, listed=True)


def combo(*choices: str, default: str | None = None) -> InputSpec:
    return InputSpec("COMBO", default=default, choices=choices)


def optional(spec: InputSpec) -> InputSpec:
    return replace(spec, required=False)


def node(class_type: str, outputs: str, *, is_output: bool = False, **inputs: InputSpec) -> NodeSpec:
    """`outputs` are type names separated by spaces."""
    return NodeSpec(class_type, tuple(outputs.split()), is_output, MappingProxyType(inputs))
