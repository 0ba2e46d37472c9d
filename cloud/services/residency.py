"""What a change of presets costs a server, and how long it therefore stays with one."""

from collections.abc import Collection, Iterable, Mapping
from statistics import fmean

from cloud.repositories.servers import ServerRecord, Switch

__all__ = ["alike_to", "measured_alike", "quantum_s", "staying_s", "switch_cost_s"]

_QUANTUM_SWITCHES = 10.0
_LONGEST_QUANTUM_S = 600.0
_UNMEASURED_S = 5.0


def quantum_s(switch_cost_s: float) -> float:
    """How long to stay with a preset, so that changing models costs at most a tenth of the time."""
    return min(_QUANTUM_SWITCHES * switch_cost_s, _LONGEST_QUANTUM_S)


def alike_to(server: ServerRecord, servers: Iterable[ServerRecord]) -> tuple[ServerRecord, ...]:
    """The others of the same class, whose models load as fast."""
    device = server.facts.device
    if device is None:
        return ()
    return tuple(other for other in servers if other.facts.device == device and other.name != server.name)


def measured_alike(
    switches: Mapping[str, Switch], alike: Collection[Mapping[str, Switch]]
) -> Mapping[str, Switch]:
    """What a server measured itself, and of other presets what servers of its class did, in the mean."""
    known = {preset for others in alike for preset in others}
    unknown = {preset for preset in known if switches.get(preset, Switch()).cold_s is None}
    means = {preset: _mean([others[preset] for others in alike if preset in others]) for preset in unknown}
    return {**switches, **means}


def _mean(switches: Collection[Switch]) -> Switch:
    cold = [switch.cold_s for switch in switches if switch.cold_s is not None]
    warm = [switch.warm_s for switch in switches if switch.warm_s is not None]
    return Switch(fmean(cold) if cold else None, fmean(warm) if warm else None)


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
