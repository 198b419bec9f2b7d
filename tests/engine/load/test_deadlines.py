"""Buckets find what is overdue, and look at hardly anything else."""

from __future__ import annotations

from dataclasses import dataclass

import trio
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.engine.load.deadlines import DeadlineBuckets, expire_overdue


@given(
    st.lists(st.tuples(st.floats(0.0, 5.0), st.sampled_from([0.5, 1.0, 10.0]), st.booleans()), max_size=60),
    st.floats(0.0, 20.0),
)
def test_the_overdue_are_exactly_those_whose_deadline_has_passed(
    entries: list[tuple[float, float, bool]], after: float
) -> None:
    buckets: DeadlineBuckets[int] = DeadlineBuckets()
    expected, now = {}, 0.0
    for thing, (pause, seconds, leaves) in enumerate(entries):
        now += pause
        bucket = buckets.bucket(seconds)
        bucket[thing] = now + seconds
        if leaves:
            del bucket[thing]
        else:
            expected[thing] = now + seconds
    assert len(buckets) == len(expected)
    assert sorted(buckets) == sorted(expected)
    assert dict(buckets.overdue(now + after)) == {t: deadline for t, deadline in expected.items() if deadline <= now + after}


def test_what_is_overdue_stays_until_it_leaves() -> None:
    buckets: DeadlineBuckets[str] = DeadlineBuckets()
    buckets.bucket(1.0)["a"] = 1.0
    assert list(buckets.overdue(2.0)) == list(buckets.overdue(2.0)) == [("a", 1.0)]


def test_what_leaves_or_begins_again_while_others_are_given_up_is_overdue_no_more() -> None:
    buckets: DeadlineBuckets[str] = DeadlineBuckets()
    bucket = buckets.bucket(1.0)
    bucket.update(a=1.0, b=1.1, c=1.2, d=1.3)
    seen = []
    for thing, _ in buckets.overdue(2.0):
        seen.append(thing)
        del bucket[thing]
        if thing == "a":
            del bucket["b"], bucket["c"]
            bucket["c"] = 2.9
    assert seen == ["a", "d"]


@dataclass(eq=False)
class Late:
    bucket: dict[Late, float]

    def expire(self, deadline: float) -> None:
        del self.bucket[self]


def test_others_get_their_turns_while_thousands_are_given_up() -> None:
    async def main() -> None:
        buckets: DeadlineBuckets[Late] = DeadlineBuckets()
        bucket = buckets.bucket(1.0)
        most = last = 0

        async def other() -> None:
            nonlocal most, last
            while bucket:
                most, last = max(most, last - len(bucket)), len(bucket)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            bucket.update((Late(bucket), 1.0) for _ in range(5_000))
            last = len(bucket)
            nursery.start_soon(other)
            await expire_overdue(buckets, 2.0)
        assert not bucket
        assert most <= 512

    trio.run(main)
