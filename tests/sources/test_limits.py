"""How long and how large a download may be unless it is told."""

from __future__ import annotations

import pytest

from converter.sources.https import FailedError, Limits, RefusedError, SlowError, Watch


class Clock:
    """A clock that stands still until it is put forward."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_half_a_day(clock: Clock) -> None:
    watch = Watch(Limits(clock=clock))
    clock.now = 12 * 3600
    watch.check_time()
    clock.now += 1
    with pytest.raises(FailedError, match="not done after 12 hours"):
        watch.check_time()


def test_five_kilobytes_a_second_over_two_minutes(clock: Clock) -> None:
    watch = Watch(Limits(clock=clock))
    watch.begin()
    for _ in range(2):
        clock.now += 120
        watch.receive(600_000)
        watch.keep()
    clock.now += 119
    watch.receive(0)
    clock.now += 1
    with pytest.raises(SlowError, match="it comes slower than 5 kB a second"):
        watch.receive(599_999)


def test_what_is_no_part_of_the_file(clock: Clock) -> None:
    watch = Watch(Limits(clock=clock))
    most = 0
    with pytest.raises(RefusedError, match="that are no part of a file"):
        while most < 1 << 30:
            watch.receive(1 << 18)
            most += 1 << 18
    assert most == 16 << 20
    watch.begin()
    watch.receive(1 << 18)


def test_files_of_eight_gigabytes_beside_which_some_stays_free() -> None:
    assert (Limits().largest, Limits().reserve) == (8 << 30, 256 << 20)
