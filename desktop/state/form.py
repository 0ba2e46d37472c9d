"""The values of the chosen preset, as the form shows them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from shared.errors import JsonValue, UsageError
from shared.presets.parameter import Level, Parameter

__all__ = ["Form", "FormRules", "Group", "groups"]


@dataclass(frozen=True, slots=True)
class FormRules:
    """The rules of the presets, handed in once they are loaded. `check` raises UsageError."""

    check: Callable[[Parameter, JsonValue], JsonValue]
    is_visible: Callable[[Parameter, Mapping[str, JsonValue]], bool]


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters under one heading, in order."""

    name: str
    level: Level
    parameters: tuple[Parameter, ...]


class Form(QObject):
    """Values by parameter id: the defaults, what the user changed before, and what is changed now."""

    replaced = Signal()
    changed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rules: FormRules | None = None
        self._parameters: dict[str, Parameter] = {}
        self._values: dict[str, JsonValue] = {}

    def use(self, rules: FormRules) -> None:
        self._rules = rules

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(self._parameters.values())

    @property
    def values(self) -> Mapping[str, JsonValue]:
        return self._values

    @property
    def own_values(self) -> Mapping[str, JsonValue]:
        """Only what differs from the defaults."""
        return {
            name: value for name, value in self._values.items() if value != self._parameters[name].default
        }

    def show(self, parameters: Sequence[Parameter], given: Mapping[str, JsonValue]) -> None:
        """Begin with these parameters; a given value that no longer fits is dropped."""
        self._parameters = {parameter.id: parameter for parameter in parameters}
        self._values = {
            parameter.id: given[parameter.id]
            if parameter.id in given and self._problem(parameter, given[parameter.id]) is None
            else parameter.default
            for parameter in parameters
        }
        self.replaced.emit()

    def set(self, parameter_id: str, value: JsonValue) -> None:
        if self._values[parameter_id] != value or type(self._values[parameter_id]) is not type(value):
            self._values[parameter_id] = value
            self.changed.emit(parameter_id)

    def reset(self, parameter_id: str) -> None:
        self.set(parameter_id, self._parameters[parameter_id].default)

    def reset_all(self) -> None:
        for parameter_id in self._parameters:
            self.reset(parameter_id)

    def is_default(self, parameter_id: str) -> bool:
        return self._values[parameter_id] == self._parameters[parameter_id].default

    def is_visible(self, parameter_id: str) -> bool:
        return self._rules is None or self._rules.is_visible(self._parameters[parameter_id], self._values)

    def problem(self, parameter_id: str) -> str | None:
        """What is wrong with the value, said before anything is sent."""
        return self._problem(self._parameters[parameter_id], self._values[parameter_id])

    def first_problem(self) -> str | None:
        """Of the values that count, that is of the visible ones."""
        problems = (self.problem(name) for name in self._parameters if self.is_visible(name))
        return next((found for found in problems if found is not None), None)

    def _problem(self, parameter: Parameter, value: JsonValue) -> str | None:
        if self._rules is None:
            return None
        try:
            self._rules.check(parameter, value)
        except UsageError as error:
            return error.message
        return None


def groups(parameters: Sequence[Parameter]) -> tuple[Group, ...]:
    """By level, then in the order in which each group first appears."""
    ordered = sorted(parameters, key=lambda parameter: parameter.order)
    found: dict[tuple[Level, str], list[Parameter]] = {}
    for level in Level:
        for parameter in ordered:
            if parameter.level is level:
                found.setdefault((level, parameter.group), []).append(parameter)
    return tuple(Group(name, level, tuple(members)) for (level, name), members in found.items())
