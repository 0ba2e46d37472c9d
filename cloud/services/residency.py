"""What a change of presets costs a server, and how long it therefore stays with one."""

from collections.abc import Collection, Mapping

from cloud.repositories.servers import Switch

__all__ = ["quantum_s", "staying_s", "switch_cost_s"]

_QUANTUM_SWITCHES = 10.0
_LONGEST_QUANTUM_S = 600.0
_UNMEASURED_S = 5.0


def quantum_s(switch_cost_s: float) -> float:
    """How long to stay with a preset, so that changing models costs at most a tenth of the time."""
    return min(_QUANTUM_SWITCHES * switch_cost_s, _LONGEST_QUANTUM_S)


def switch_cost_s(switches: Mapping[str, Switch], preset: str) -> float:
    """What a change to this preset costs: cold minus warm, once both were measured."""
    switch = switches.get(preset, Switch())
    if switch.cold_s is None:
        return _UNMEASURED_S
    return max(0.0, switch.cold_s - (switch.warm_s or 0.0))


def staying_s(switches: Mapping[str, Switch], others: Collection[str]) -> float:
    """The quantum where these other presets wait: it grows with what the change would cost."""
    if not others:
        return 0.0
    return quantum_s(sum(switch_cost_s(switches, preset) for preset in others) / len(others))
