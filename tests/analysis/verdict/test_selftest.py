"""What a bank of blocks says of the runner that it was measured on."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.analysis.banks import bank
from tests.analysis.duets import control
from tests.analysis.phases import health
from velro_gate.analysis.verdict.selftest import LEAST_CYCLES, selftest_of
from velro_gate.model.bank import Bank
from velro_gate.model.selftest import FigureNoise, Selftest
from velro_gate.report.sentences.selftest import advice_words


def made(held: Bank) -> Selftest:
    return selftest_of(held, measured_at="2026-11-24T10:00:00Z", overhead=3.0)


def tail(found: Selftest) -> FigureNoise:
    row = found.row("p95", "all")
    assert row is not None
    return row


def test_a_quiet_runner_sees_what_is_injected_and_little_else_changes() -> None:
    found = made(bank(16, sd=0.01))
    assert found.found == {10: True, 20: True}
    assert found.unchanged != "fail"
    assert not found.quote.blind
    assert tail(found).block == pytest.approx(0.01, rel=0.5)
    assert tail(found).pair == pytest.approx(0.014, rel=0.5)
    duet, stored = tail(found).duet, tail(found).stored
    assert duet is not None
    assert stored is not None
    assert 0.05 <= duet < 0.10
    assert 0.05 <= stored < 0.15


def test_a_noisy_runner_is_blind_and_says_how_little_it_sees() -> None:
    found = made(bank(16, sd=0.4))
    assert found.found[20] is False
    assert found.quote.blind
    duet = tail(found).duet
    assert duet is not None
    assert duet > 0.20


def test_more_noise_is_never_said_to_see_more() -> None:
    seen = [tail(made(bank(20, sd=sd))) for sd in (0.005, 0.02, 0.08)]
    for less, more in pairwise(seen):
        assert less.block < more.block
        assert (less.duet or 0.0) <= (more.duet or 0.0)
        assert (less.stored or 0.0) < (more.stored or 0.0)


def test_too_few_cycles_make_no_selftest() -> None:
    with pytest.raises(ValueError, match="too few"):
        made(bank(LEAST_CYCLES - 1))
    assert made(bank(LEAST_CYCLES)).cycles == LEAST_CYCLES


def test_the_advice_names_what_was_seen() -> None:
    held = bank(10, sd=0.05)
    assert any("more pairs" in advice_words(line) for line in made(held).advice)
    stolen = replace(
        held,
        blocks=tuple(
            replace(
                each,
                block=replace(
                    each.block,
                    phases=tuple(replace(phase, health=health(steal_share=0.08, cpu_share=0.8)) for phase in each.block.phases),
                    control=control(0.001 * (1.0 + 0.5 * (number % 3))),
                ),
            )
            for number, each in enumerate(held.blocks)
        ),
    )
    advice = " ".join(map(advice_words, made(stolen).advice))
    assert "takes 8.0 % of this machine's CPU time" in advice
    assert "uses 80.0 % of its core" in advice
    assert "control endpoint" in advice


def test_a_runner_whose_moods_last_is_advised_that_a_duet_sees_more() -> None:
    held = bank(12, sd=0.002)
    moods = [1.0 + 0.2 * (cycle % 4) for cycle in range(12)]

    def slowed(number: int) -> float:
        return moods[number // 4]

    from tests.analysis.runs import summary

    wandering = tuple(
        replace(
            each,
            block=replace(
                each.block, phases=(summary(times=slowed(number) * (1.0 + each.slowdown) * (1.0 + 0.001 * (number % 3))),)
            ),
        )
        for number, each in enumerate(held.blocks)
    )
    assert any("a duet sees more" in advice_words(line) for line in made(replace(held, blocks=wandering)).advice)
