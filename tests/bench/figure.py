"""One measured figure beside the floor of the same run."""

from dataclasses import dataclass

__all__ = ["Figure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`value` and `floor` in `unit`. The goal is either a limit on value / floor or one on `value`.

    A figure that counts losses has floor 0 and goal_value 0.
    """

    name: str
    value: float
    floor: float
    unit: str
    floor_name: str
    goal_ratio: float | None = None
    goal_value: float | None = None

    def __post_init__(self) -> None:
        if (self.goal_ratio is None) == (self.goal_value is None):
            raise ValueError(f"{self.name}: state either goal_ratio or goal_value")

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None

    @property
    def met(self) -> bool:
        if self.goal_value is not None:
            return self.value <= self.goal_value
        return self.ratio is not None and self.goal_ratio is not None and self.ratio <= self.goal_ratio
