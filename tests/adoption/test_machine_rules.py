"""What the doctor says of a machine: each fact at its bound, on both sides."""

from __future__ import annotations

import dataclasses

import pytest

from velro_gate.adoption import MachineFacts, Severity, examine_machine
from velro_gate.gate.onboarding.doctor import machine_facts

GOOD = MachineFacts(
    users=10_000,
    descriptors=65_536,
    ports=28_232,
    cores=4.0,
    governors=("performance",) * 4,
    clock_source="tsc",
    synchronised=True,
)


def rules(**changes: object) -> list[tuple[str, Severity]]:
    return [(each.rule, each.severity) for each in examine_machine(dataclasses.replace(GOOD, **changes))]


def test_a_good_machine_has_no_finding() -> None:
    assert rules() == []


def test_what_a_machine_does_not_show_is_no_finding() -> None:
    assert rules(ports=None, governors=(), clock_source=None, synchronised=None) == []


@pytest.mark.parametrize(
    ("change", "rule", "severity"),
    [
        ({"descriptors": 10_063}, "descriptors", Severity.FAULT),
        ({"ports": 9_999}, "ports", Severity.FAULT),
        ({"cores": 1.5}, "cores", Severity.ADVICE),
        ({"governors": ("performance", "powersave")}, "governor", Severity.ADVICE),
        ({"busy": 0.11}, "other-load", Severity.ADVICE),
        ({"steal": 0.03}, "steal", Severity.ADVICE),
        ({"clock_source": "hpet"}, "clock-source", Severity.ADVICE),
        ({"synchronised": False}, "clock", Severity.ADVICE),
    ],
)
def test_each_shortcoming_is_one_finding(change: dict[str, object], rule: str, severity: Severity) -> None:
    assert rules(**change) == [(rule, severity)]


def test_bounds_that_are_just_met_are_no_finding() -> None:
    assert rules(descriptors=10_064, ports=10_000, cores=2.0, busy=0.1, steal=0.02) == []


def test_other_load_names_who_makes_it() -> None:
    (finding,) = examine_machine(dataclasses.replace(GOOD, busy=0.5, busiest=("postgres 180 % of a core",)))
    assert "50 % of the CPU time" in finding.what
    assert "postgres 180 % of a core" in finding.what


def test_this_machine_can_be_looked_at() -> None:
    facts = machine_facts(1, seconds=0.01)
    assert facts.descriptors > 0
    assert facts.cores > 0.0
    assert 0.0 <= facts.busy <= 1.0
