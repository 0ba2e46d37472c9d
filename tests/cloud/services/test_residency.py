import pytest

from cloud.repositories.servers import Switch
from cloud.services.residency import measured_alike, quantum_s, staying_s, switch_cost_s


def test_the_quantum_is_ten_switches_and_bounded() -> None:
    assert [quantum_s(2.0), quantum_s(0.0), quantum_s(1000.0)] == [20.0, 0.0, 600.0]


@pytest.mark.parametrize(
    ("switch", "cost_s"),
    [
        (Switch(), 5.0),
        (Switch(cold_s=8.0), 8.0),
        (Switch(cold_s=8.0, warm_s=1.5), 6.5),
        (Switch(warm_s=1.5), 5.0),
        (Switch(cold_s=1.0, warm_s=1.5), 0.0),
    ],
)
def test_a_switch_costs_what_was_measured_cold_minus_warm(switch: Switch, cost_s: float) -> None:
    assert switch_cost_s({"sdxl": switch}, "sdxl") == cost_s


def test_a_server_stays_for_ten_times_the_mean_cost_of_what_else_waits() -> None:
    switches = {"a": Switch(3.0, 1.0), "b": Switch(5.0, 1.0)}
    assert staying_s(switches, ["a", "b"]) == 30.0
    assert staying_s(switches, []) == 0.0


def test_what_a_server_has_not_measured_is_taken_from_those_of_its_class() -> None:
    own = {"a": Switch(3.0, 1.0), "b": Switch(None, 1.0)}
    alike = [{"a": Switch(9.0, 1.0), "b": Switch(6.0, 2.0)}, {"b": Switch(8.0, 4.0), "c": Switch(2.0)}]
    assert measured_alike(own, alike) == {"a": Switch(3.0, 1.0), "b": Switch(7.0, 3.0), "c": Switch(2.0)}
    assert measured_alike(own, []) == own
