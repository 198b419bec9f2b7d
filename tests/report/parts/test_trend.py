"""The comment as it is published: the trend of the figures, the waiver to paste, the footer, the one truncation rule."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from datetime import date

import pytest
import yaml
from markdown_it import MarkdownIt

from tests.report.examples import EXAMPLES, main
from tests.report.golden import COMMENTS, rendered
from tests.report.hostile import crowded
from velro_gate.model.record import RunRecord
from velro_gate.model.waiver import Waiver
from velro_gate.report.formats.comment import LIMIT, markdown
from velro_gate.report.parts.trend import MOST, comment_trend

GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def published(name: str) -> str:
    return rendered(name, "md")


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMENTS)
def test_the_first_line_that_people_see_says_whether_to_read_on(name: str) -> None:
    marker, first, *_ = published(name).splitlines()
    assert marker.startswith("<!-- velro-gate:")
    assert first.startswith("### ")
    assert re.search(r"(please read|no action needed|could have missed up to \d+\s%)$", first)


@pytest.mark.parametrize("name", COMMENTS)
def test_no_comment_is_longer_than_the_limit(name: str) -> None:
    assert len(published(name)) <= LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("count", [300, 1_000])
def test_a_comment_that_is_cut_keeps_the_verdict_the_commits_and_the_links(count: int) -> None:
    text = markdown(*crowded(count).made, links={"Run": "https://x.example"}, history=history(20), about=("head abc",))
    assert len(text) <= LIMIT
    assert "### ❌ velro-gate: fail, please read" in text
    assert "[Run](<https://x.example>)" in text
    assert "head abc" in text.splitlines()[-1]


def test_the_footer_names_run_commits_and_configuration() -> None:
    footer = published("pass").splitlines()[-1]
    for part in ("run `", "head 4c1d9e07a2b8", "base 0f3b2a118c55", "measured 77aa01b2c3d4", "config `"):
        assert part in footer


def test_a_fork_says_who_measured() -> None:
    trust = published("fail-fork").split("#### Trust")[1].split("#### What to do next")[0]
    assert "nobody else measured them" in trust


def test_more_about_a_run_is_escaped_like_all_text_from_outside() -> None:
    text = markdown(*EXAMPLES["pass"](), about=("@team <b>",))
    assert "@&#8203;team &lt;b&gt;" in text


# The trend.


def history(count: int) -> Sequence[RunRecord]:
    return main(count)


def chart(count: int) -> str:
    found = comment_trend(*EXAMPLES["fail-regression"](), history(count))
    return found.chart if found else ""


def test_the_trend_shows_the_baselines_and_then_this_run() -> None:
    text = chart(4)
    values = re.search(r"line \[(.*)\]", text)
    assert values
    assert len(values[1].split(", ")) == 5
    assert '["-4", "-3", "-2", "-1", "now"]' in text
    found = comment_trend(*EXAMPLES["fail-regression"](), history(4))
    assert found
    assert found.title == "p95 of authorization_check in prd_compliance_validation over 4 baselines and this run"


@pytest.mark.parametrize("count", [0, 1])
def test_without_two_baselines_there_is_no_trend(count: int) -> None:
    assert chart(count) == ""


def test_the_trend_ends_at_the_last_twenty() -> None:
    values = re.search(r"line \[(.*)\]", chart(50))
    assert values
    assert len(values[1].split(", ")) == MOST + 1


def test_every_point_lies_between_the_ends_of_the_axis() -> None:
    text = chart(20)
    values, ends = re.search(r"line \[(.*)\]", text), re.search(r'y-axis "ms" ([\d.]+) --> ([\d.]+)', text)
    assert values
    assert ends
    points = [float(value) for value in values[1].split(", ")]
    assert float(ends[1]) < min(points)
    assert max(points) < float(ends[2])


def test_equal_points_still_make_an_axis() -> None:
    run, verdict = EXAMPLES["pass"]()
    found = comment_trend(run, verdict, [run] * 3)
    assert found
    ends = re.search(r"y-axis \"ms\" ([\d.]+) --> ([\d.]+)", found.chart)
    assert ends
    assert float(ends[1]) < float(ends[2])


def test_a_run_without_the_figure_is_left_out_of_the_trend() -> None:
    runs = list(history(3))
    runs[1] = dataclasses.replace(runs[1], phases=())
    found = comment_trend(*EXAMPLES["fail-regression"](), runs)
    assert found
    values = re.search(r"line \[(.*)\]", found.chart)
    assert values
    assert len(values[1].split(", ")) == 3


def test_a_run_that_measured_nothing_has_no_trend() -> None:
    run, verdict = EXAMPLES["pass"]()
    assert comment_trend(dataclasses.replace(run, phases=()), dataclasses.replace(verdict, comparisons=()), history(3)) is None


def row_of(text: str, figure: str) -> list[str]:
    """The cells of the first row that begins with a figure."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {figure} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_each_required_figure_shows_its_course_old_to_new_and_this_run_last() -> None:
    cells = row_of(published("fail-confirmed"), "p95 of `authorization_check`")
    assert re.fullmatch("[▁▂▃▄▅▆▇█]{11}", cells[4])
    before, now = cells[4][:-1], cells[4][-1]
    # It rose by 31 %; the noise of the ten before it is no cliff.
    assert len(set(before)) <= 2
    assert now > max(before)


def test_a_broken_run_shows_no_course_and_no_chart() -> None:
    text = published("broken")
    assert row_of(text, "users held")[4:] == ["🚫\u00a0not\u00a0measured"]
    assert "runs, now" not in text
    assert "mermaid" not in text


def test_without_two_baselines_no_row_has_a_course() -> None:
    assert "runs, now" not in published("no-baseline-first") + published("no-baseline")


@pytest.mark.parametrize("name", COMMENTS)
def test_every_row_of_a_published_table_has_the_cells_of_its_header(name: str) -> None:
    width = 0
    for line in published(name).splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1
        width = width or cells
        assert cells == width, line


def test_no_name_gets_into_the_chart() -> None:
    text = published("fail-hostile")
    for block in re.findall(r"```mermaid\n(.*?)\n```", text, re.DOTALL):
        assert "evil" not in block
        assert "<" not in block.replace("-->", "")
        assert "`" not in block


# The waiver.


def test_a_waiver_that_is_pasted_and_filled_in_is_one() -> None:
    block = re.search(r"```yaml\n(.*?)```", published("fail-both"), re.DOTALL)
    assert block
    rows = yaml.safe_load(block[1].replace('issue: ""', "issue: '#1'").replace('reason: ""', "reason: agreed"))
    assert len(rows) == 6
    for row in rows:
        ceiling = float(row.pop("ceiling").removesuffix(" %")) / 100.0
        assert Waiver(**row, ceiling=ceiling).expires == date(2026, 12, 23)


@pytest.mark.parametrize("name", ["pass", "warn-waived", "inconclusive", "no-baseline-first"])
def test_no_waiver_is_offered_where_nothing_fails(name: str) -> None:
    assert "```yaml" not in published(name)


@pytest.mark.slow
def test_everything_is_rendered_as_it_is_meant_to_be() -> None:
    for name in COMMENTS:
        page = GITHUB.render(published(name))
        assert page.count("<details") == page.count("</details>")
        assert "language-mermaid" in page or "mermaid" not in page
