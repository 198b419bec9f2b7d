"""The line that says why to believe the figures, and the table that says how each phase ended, know of shards."""

from __future__ import annotations

import dataclasses

from tests.report.examples import passing
from velro_gate import report
from velro_gate.report.trustline import trust_facts


def test_the_generators_cpu_is_that_of_the_busiest_shard_where_there_are_several() -> None:
    run, verdict = passing()
    alone = dict(trust_facts(run, verdict))["generator CPU"]
    assert "shard" not in alone
    several = dict(trust_facts(dataclasses.replace(run, shards=3), verdict))["generator CPU"]
    assert several == f"{alone} (the busiest of 3 shards)"


def test_a_phase_in_which_a_shard_was_lost_says_what_became_of_it() -> None:
    run, verdict = passing()
    lost = dataclasses.replace(run.phases[-1], shards_lost=("shard 2 of 2 was killed by SIGKILL",))
    text = report.html(dataclasses.replace(run, phases=(*run.phases[:-1], lost)), verdict)
    assert "given up: shard 2 of 2 was killed by SIGKILL" in text
