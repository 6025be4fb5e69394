"""Rules of giving way."""

from bus.application import DEFAULT_SLOTS, PATIENT_SLOTS, slots_of
from bus.patience import LATE_S, Lateness, Patience


def test_a_late_loop_halves_what_a_patient_worker_may_have_and_one_always_stays() -> None:
    patience = Patience(88)
    seen = []
    for _ in range(9):
        patience.adapt(LATE_S * 2)
        seen.append(patience.allowed)
    assert seen == [44, 22, 11, 5, 2, 1, 1, 1, 1]


def test_a_loop_in_time_gives_it_back_one_by_one_and_never_more_than_its_slots() -> None:
    patience = Patience(3)
    patience.adapt(LATE_S * 2)
    for expected in (2, 3, 3):
        patience.adapt(0.0)
        assert patience.allowed == expected


def test_only_lanes_that_can_wait_have_few_slots() -> None:
    assert slots_of("router-bulk") == slots_of("router-failed-bulk") == PATIENT_SLOTS
    assert slots_of("router-interactive") == slots_of("router-standard") == DEFAULT_SLOTS


def test_the_worst_lateness_is_told_for_at_least_one_window_and_at_most_two() -> None:
    lateness = Lateness(window_s=10)
    lateness.add(100.0, 0.5)
    lateness.add(101.0, 0.1)
    assert lateness.worst_s == 0.5
    lateness.add(111.0, 0.2)
    assert lateness.worst_s == 0.5, "what the window before had is told still"
    lateness.add(122.0, 0.0)
    assert lateness.worst_s == 0.2
    lateness.add(200.0, 0.0)
    assert lateness.worst_s == 0.0, "nothing is left of long ago"
