"""What plans allow."""

from cloud.services.plans import asked_priority, entitlements_of, lane_priority
from shared.api.accounts import Plan
from shared.api.jobs import Priority


def test_a_number_in_a_lane_tells_what_was_asked_for() -> None:
    asked = {
        (lane_priority(entitlements_of(plan), priority), priority)
        for plan in Plan
        for priority in entitlements_of(plan).priorities
    }
    assert len({number for number, _ in asked}) == len(asked)
    assert all(asked_priority(number) is priority for number, priority in asked)
    assert asked_priority(999) is Priority.NORMAL
