"""The parameters a preset offers: what the form shows and what a value must satisfy."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from annotated_types import Gt

from shared.presets.plain import PlainValue

__all__ = ["Choice", "ChoicesFrom", "Condition", "Level", "Parameter", "ParameterType"]


class ParameterType(StrEnum):
    """How a value is written: `color` as "#RRGGBB", `size` as [width, height], `duration` in
    seconds, `lora_list` as a list of {"name", "strength"}; the others as their JSON type."""

    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    TEXT = "text"
    PROMPT = "prompt"
    ENUM = "enum"
    MODEL = "model"
    LORA_LIST = "lora_list"
    SEED = "seed"
    COLOR = "color"
    SIZE = "size"
    DURATION = "duration"


class Level(StrEnum):
    BASIC = "basic"
    ADVANCED = "advanced"


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class ChoicesFrom:
    """The choices are what a server offers for this input of this node class."""

    node_class: str
    input: str


@dataclass(frozen=True, slots=True)
class Condition:
    """True while the parameter `parameter` has one of the values `is_in`."""

    parameter: str
    is_in: tuple[PlainValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One input of the form.

    `min`/`max`/`step` are hard limits, `soft_min`/`soft_max` the range of the slider. With
    `relative_to`, a length is a fraction of that side of the picture, so that a reduced preview
    and the full size agree.
    """

    id: str
    type: ParameterType
    label: str
    help: str = ""
    default: PlainValue = None
    min: float | None = None
    max: float | None = None
    step: Annotated[float, Gt(0)] | None = None
    soft_min: float | None = None
    soft_max: float | None = None
    unit: str = ""
    group: str = ""
    order: int = 0
    level: Level = Level.BASIC
    max_length: int | None = None
    choices: tuple[Choice, ...] = ()
    choices_from: ChoicesFrom | None = None
    visible_when: Condition | None = None
    relative_to: Literal["shorter_side"] | None = None
    affects_cost: bool = False
    per_file: bool = False

    @property
    def field(self) -> str:
        """How errors name its value, in requests as in the command line and the window."""
        return f"values.{self.id}"
