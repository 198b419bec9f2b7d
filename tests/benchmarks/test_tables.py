from __future__ import annotations

import pytest

from benchmarks.peers.reports import Report
from benchmarks.peers.rounds import Outcome
from benchmarks.peers.tables import Spread, cost_figures, delay_rows, errors, ratio, ratio_figure, throughput_rows
from benchmarks.peers.tools import HEY_MOST_USERS, OURS, TOOLS, Job
from benchmarks.table import Table, at_least, at_most, equal, figures_table


def ran(rate: float | None, *, failed: int = 0, fault: str = "") -> Outcome:
    report = Report(requests=10, errors=failed, percentiles={}, detail=f"{failed} failed" if failed else "")
    return Outcome(rate=rate, cpu=0.25, memory=50_000_000, connected=10, report=report, fault=fault)


def test_a_ratio_is_taken_round_by_round() -> None:
    rounds = {OURS: [ran(100.0), ran(300.0), ran(200.0)], "k6": [ran(50.0), ran(100.0), ran(50.0)]}
    assert ratio(rounds, "k6") == Spread(least=2.0, median=3.0, most=4.0)


def test_a_round_without_a_figure_has_no_ratio() -> None:
    rounds = {OURS: [ran(100.0), ran(None)], "k6": [ran(50.0), ran(100.0)]}
    assert ratio(rounds, "k6") == Spread(least=2.0, median=2.0, most=2.0)
    assert ratio(rounds, "wrk") is None
    assert ratio({OURS: [ran(1.0)], "wrk": [ran(0.0)]}, "wrk") is None


def test_errors_and_faults_of_every_round_are_shown() -> None:
    assert errors([ran(1.0), ran(1.0, failed=3), ran(None, fault="it crashed")]) == "3; 3 failed; it crashed"
    assert errors([ran(1.0)]) == "0"


@pytest.mark.parametrize(("limit", "word"), [(2.0, "reached"), (3.5, "NOT reached")])
def test_the_median_ratio_is_held_against_the_one_to_reach(limit: float, word: str) -> None:
    rounds = {OURS: [ran(100.0), ran(300.0), ran(200.0)], "k6": [ran(50.0), ran(100.0), ran(50.0)]}
    figure = ratio_figure("throughput", rounds, "k6", limit)
    assert (figure.word, figure.measured) == (word, "3.00 x (2.00 x to 4.00 x)")


def test_a_peer_that_is_not_there_leaves_the_figure_unmeasured() -> None:
    assert ratio_figure("throughput", {OURS: [ran(1.0)]}, "k6", 3.0).word == "not measured"


def test_every_tool_has_a_row_and_ours_no_ratio_to_itself() -> None:
    rows = throughput_rows("100 users", {OURS: [ran(200.0)], "k6": [ran(None)]})
    assert [row[1] for row in rows] == [OURS, "k6"]
    assert rows[0][2:5] == ("200", "", "25%")
    assert rows[1][2:4] == ("not measured", "not measured")


def test_the_cost_is_held_against_its_limits() -> None:
    cpu, memory = cost_figures("steady", [ran(1_000.0)], cpu=0.30, memory=40e6)
    assert (cpu.word, memory.word) == ("reached", "NOT reached")
    assert [figure.word for figure in cost_figures("steady", [], cpu=0.3, memory=1.0)] == ["not measured"] * 2


def test_what_a_tool_said_of_the_delays_is_shown_in_milliseconds() -> None:
    rows = delay_rows("constant", {"k6": [{0.5: 0.001, 0.95: 0.002}, {0.5: 0.003, 0.95: 0.002}]})
    assert rows == [("constant", "k6", "+2.00 ms (+1.00 ms to +3.00 ms)", "+2.00 ms", "not measured")]


def test_a_tool_that_cannot_carry_out_a_job_says_why() -> None:
    lacks = {tool.name: tool.lacks for tool in TOOLS}
    many = Job(url="http://127.0.0.1/", users=HEY_MOST_USERS + 1, seconds=1.0)
    paced = Job(url="http://127.0.0.1/", users=10, seconds=1.0, rate=5.0)
    able = {name: (not lacks[name](many), not lacks[name](paced)) for name in lacks}
    assert able == {OURS: (True, True), "wrk": (True, False), "k6": (True, True), "locust": (True, True), "hey": (False, False)}


def test_limits_include_their_own_value() -> None:
    assert [at_most("x", value, 1.0).reached for value in (0.9, 1.0, 1.1, None)] == [True, True, False, None]
    assert [at_least("x", value, 1.0).reached for value in (0.9, 1.0, 1.1, None)] == [False, True, True, None]
    assert [equal("x", value, 5).reached for value in (4, 5, 6, None)] == [False, True, False, None]


def test_a_table_reads_in_plain_text_and_in_markdown() -> None:
    table = figures_table("Some", [at_most("a|b", 2.0, 1.0, "{:.0f} ms")], ["A note."])
    assert table.plain().splitlines()[1:] == [
        "== Some",
        "figure  target   measured",
        "------  -------  --------  -----------",
        "a|b     <= 1 ms  2 ms      NOT reached",
        "A note.",
    ]
    assert "| a\\|b | <= 1 ms | 2 ms | NOT reached |" in table.markdown().splitlines()


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="as long as"):
        Table(title="t", columns=("a", "b"), rows=(("1",),))
