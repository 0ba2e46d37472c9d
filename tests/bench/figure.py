"""One measured figure beside the floor of the same run."""

from dataclasses import dataclass

__all__ = ["Figure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`value` and `floor` in `unit`; the goal is met while value / floor ≤ `goal_ratio`.

    `goal_value` is an absolute limit in `unit` beside it (either may be None). A figure that counts
    losses has floor 0 and goal_value 0.
    """

    name: str
    value: float
    floor: float
    unit: str
    floor_name: str
    goal_ratio: float | None = None
    goal_value: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None

    @property
    def met(self) -> bool:
        """True when one of the stated goals holds: a ratio and a value are alternatives."""
        checks = [
            *(
                [self.ratio <= self.goal_ratio]
                if self.goal_ratio is not None and self.ratio is not None
                else []
            ),
            *([self.value <= self.goal_value] if self.goal_value is not None else []),
        ]
        return any(checks)
