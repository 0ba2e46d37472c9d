"""One measured figure beside the floor of the same run."""

from dataclasses import dataclass

__all__ = ["Figure", "Load"]


_SHORTFALL = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """A second: how many were to be served, and how many were."""

    target: float
    served: float

    @property
    def achieved(self) -> bool:
        return self.served >= self.target * (1 - _SHORTFALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`value` and `floor` in `unit`. The goal is either a limit on value / floor or one on `value`.

    A figure that counts losses has floor 0 and goal_value 0. Where load was offered, `load` says how much.
    """

    name: str
    value: float
    floor: float
    unit: str
    floor_name: str
    goal_ratio: float | None = None
    goal_value: float | None = None
    load: Load | None = None

    def __post_init__(self) -> None:
        if (self.goal_ratio is None) == (self.goal_value is None):
            raise ValueError(f"{self.name}: state either goal_ratio or goal_value")

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None

    @property
    def met(self) -> bool:
        if self.load is not None and not self.load.achieved:
            return False
        if self.goal_value is not None:
            return self.value <= self.goal_value
        return self.ratio is not None and self.goal_ratio is not None and self.ratio <= self.goal_ratio
