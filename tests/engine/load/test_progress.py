"""The service is called gone when nothing answers and every attempt fails at its connection, and at no other time."""

from __future__ import annotations

import pytest

from velro_gate.engine.load.progress import LivenessCheck
from velro_gate.model.samples import Outcome


class Beat:
    """A pulse that is fed second by second."""

    def __init__(self) -> None:
        self.liveness = LivenessCheck(0.0)
        self.now = 0.0
        self.outcomes = [0] * (max(Outcome) + 1)
        self.extra = {"unsent": 0, "joined": 0, "failed_joins": 0}

    def second(self, *, unsent: int = 0, joined: int = 0, failed_joins: int = 0, **new: int) -> str | None:
        self.now += 1.0
        for name, count in new.items():
            self.outcomes[Outcome[name]] += count
        for name, count in (("unsent", unsent), ("joined", joined), ("failed_joins", failed_joins)):
            self.extra[name] += count
        return self.liveness.update(self.now, self.outcomes, **self.extra)


@pytest.mark.parametrize("kind", ["REFUSED", "RESET", "TLS", "CERTIFICATE"])
def test_five_seconds_of_failing_connections_mean_gone(kind: str) -> None:
    beat = Beat()
    assert beat.second(OK=10) is None
    answers = [beat.second(**{kind: 10}) for _ in range(5)]
    assert answers[:4] == [None] * 4
    assert answers[4] is not None
    assert "50 x" in answers[4]


@pytest.mark.parametrize("kind", ["OK", "STATUS", "CHECK", "TIMEOUT", "PROTOCOL"])
def test_anything_else_among_the_failures_means_that_it_is_still_there(kind: str) -> None:
    beat = Beat()
    assert [beat.second(REFUSED=10, **{kind: 1}) for _ in range(20)] == [None] * 20


@pytest.mark.parametrize("kind", ["STATUS", "TIMEOUT"])
def test_errors_and_silence_alone_are_not_gone(kind: str) -> None:
    beat = Beat()
    assert [beat.second(**{kind: 10}) for _ in range(20)] == [None] * 20


def test_users_that_cannot_connect_ahead_count() -> None:
    beat = Beat()
    assert any(beat.second(failed_joins=5) for _ in range(6))


def test_connections_alone_show_a_service_that_nobody_asks_anything() -> None:
    beat = Beat()
    assert [beat.second(joined=5) for _ in range(20)] == [None] * 20


def test_a_proxy_that_accepts_for_a_dead_service_does_not_count_as_alive() -> None:
    beat = Beat()
    assert any(beat.second(joined=5, RESET=5) for _ in range(6))


def test_what_was_never_sent_is_no_sign_of_life() -> None:
    beat = Beat()
    assert any(beat.second(REFUSED=3, CAPTURE=3, unsent=3) for _ in range(6))


def test_a_quiet_stretch_without_attempts_is_not_gone_and_few_failures_are_not_enough() -> None:
    beat = Beat()
    assert [beat.second() for _ in range(30)] == [None] * 30
    assert beat.second(REFUSED=1) is None
    assert [beat.second() for _ in range(10)] == [None] * 10
    assert beat.second(REFUSED=1) is None
