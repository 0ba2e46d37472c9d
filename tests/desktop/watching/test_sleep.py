from desktop.watching.sleep import Moment, slept

BEFORE = Moment(wall=1000.0, monotonic=50.0)


def test_an_ordinary_tick_is_no_sleep() -> None:
    assert not slept(BEFORE, Moment(1001.2, 51.2), expected_s=1.0)
    assert not slept(BEFORE, Moment(400.0, 51.0), expected_s=1.0)  # the clock on the wall was set back


def test_a_gap_by_either_clock_is_a_sleep() -> None:
    assert slept(BEFORE, Moment(29_800.0, 51.0), expected_s=1.0)  # this clock stops in sleep
    assert slept(BEFORE, Moment(1030.0, 80.0), expected_s=1.0)
