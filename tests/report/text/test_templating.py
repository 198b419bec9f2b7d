"""Templates of one's own: every documented block can be changed alone, and a mistake is an error in words."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.examples import EXAMPLES
from velro_gate.cli.printing import use_template_folder
from velro_gate.errors import UsageError
from velro_gate.model.record import RunRecord
from velro_gate.model.verdict import Verdict
from velro_gate.report.charts.live import live_html
from velro_gate.report.formats.comment import LIMIT, markdown, marker_of
from velro_gate.report.formats.executive import executive_html, executive_markdown
from velro_gate.report.formats.page import html
from velro_gate.report.parts.view import build
from velro_gate.report.printed.trend_page import trend_html
from velro_gate.report.text.templating import template, use_templates

PAGE = (Path(__file__).resolve().parents[3] / "docs/reports.md").read_text(encoding="utf-8")
_ROWS = re.findall(r"^\| `(\w+\.\w+\.j2)` \| (.*) \|$", PAGE, re.MULTILINE)
BLOCKS = {name: re.findall(r"`(\w+)`", blocks) for name, blocks in _ROWS}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    use_templates(str(tmp_path))
    yield tmp_path
    use_templates("")


@pytest.mark.parametrize("file", sorted(BLOCKS))
def test_the_page_lists_the_blocks_that_there_are(file: str) -> None:
    assert BLOCKS[file] == list(template(file).blocks)


def test_each_block_of_the_report_can_be_changed_alone(folder: Path) -> None:
    made = EXAMPLES["fail-both"]()
    names = BLOCKS["report.html.j2"]
    own = "".join(f"{{% block {name} %}}[{name}:{{{{ view.level }}}}]{{% endblock %}}" for name in names)
    (folder / "report.html.j2").write_text(f'{{% extends "velro/report.html.j2" %}}{own}', encoding="utf-8")
    page = html(*made)
    shown = re.findall(r"\[(\w+):fail\]", page)
    # A section that has nothing to show is not there, whoever would show it.
    assert [name for name in names if name in shown] == shown
    assert set(names) - set(shown) <= {"bottlenecks", "experiments", "cache", "failures"}
    assert "<h2>" not in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "made"),
    [("executive.html.j2", executive_html), ("executive.md.j2", executive_markdown), ("verdict.md.j2", markdown)],
)
def test_each_block_of_executive_summary_and_comment_can_be_changed_alone(
    folder: Path, file: str, made: Callable[[RunRecord, Verdict], str]
) -> None:
    for name in BLOCKS[file]:
        own = (
            f'{{% extends "velro/{file}" %}}{{% block {name} %}}[{name}:{{{{ view.level }}}}]{{{{ super() }}}}{{% endblock %}}'
        )
        (folder / file).write_text(own, encoding="utf-8")
        use_templates("")
        before = made(*EXAMPLES["fail-both"]())
        use_templates(str(folder))
        after = made(*EXAMPLES["fail-both"]())
        assert after.count(f"[{name}:fail]") == 1
        assert "".join(after.replace(f"[{name}:fail]", "").split()) == "".join(before.split())


def test_a_comment_of_ones_own_template_is_found_again_by_a_later_run(folder: Path) -> None:
    record, verdict = EXAMPLES["fail-both"]()
    own = "".join(f"{{% block {name} %}}{{% endblock %}}" for name in BLOCKS["verdict.md.j2"])
    (folder / "verdict.md.j2").write_text(f'{{% extends "velro/verdict.md.j2" %}}{own}', encoding="utf-8")
    assert markdown(record, verdict).strip() == marker_of(record.plan)


def test_the_other_blocks_stay_as_they_were(folder: Path) -> None:
    made = EXAMPLES["pass"]()
    use_templates("")
    before = html(*made)
    use_templates(str(folder))
    own = '{% extends "velro/report.html.j2" %}{% block method %}<p>ours</p>{% endblock %}'
    (folder / "report.html.j2").write_text(own, encoding="utf-8")
    after = html(*made)
    assert "<p>ours</p>" in after
    assert after.partition("<p>ours</p>")[0] == before[: len(after.partition("<p>ours</p>")[0])]


def test_each_block_of_trend_and_live_page_can_be_changed_alone(folder: Path) -> None:
    pages: dict[str, Callable[[], str | None]] = {
        "trend.html.j2": lambda: trend_html(()),
        "live.html.j2": lambda: live_html("tiny"),
    }
    for file, made in pages.items():
        use_templates("")
        before = made()
        assert before
        for name in BLOCKS[file]:
            own = f'{{% extends "velro/{file}" %}}{{% block {name} %}}[our {name}]{{{{ super() }}}}{{% endblock %}}'
            (folder / file).write_text(own, encoding="utf-8")
            use_templates(str(folder))
            assert "".join((made() or "").replace(f"[our {name}]", "", 1).split()) == "".join(before.split())
            assert f"[our {name}]" in (made() or "")


def test_every_block_of_the_report_is_shown_where_there_is_something_to_show(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = BLOCKS["report.html.j2"]
    own = "".join(f"{{% block {name} %}}[{name}]{{% endblock %}}" for name in names)
    (folder / "report.html.j2").write_text(f'{{% extends "velro/report.html.j2" %}}{own}', encoding="utf-8")
    record, verdict = EXAMPLES["fail-both"]()
    some: list[Any] = [object()]
    view = dataclasses.replace(build(record, verdict), bottlenecks=some, expectations=some, cache=some, failures=some)
    monkeypatch.setattr("velro_gate.report.formats.page.build", lambda *_: view)
    page = html(record, verdict)
    assert [name for name in names if f"[{name}]" in page] == names


@pytest.mark.slow
@pytest.mark.parametrize("text", ["{% block", "{{ nothing_of_this_name }}", "{{ 'x' * 70000 }}"])
def test_after_a_load_a_mistake_is_a_warning_said_once_and_the_shipped_template_is_used(text: str) -> None:
    record, verdict = EXAMPLES["fail-both"]()
    use_templates("")
    before, page = markdown(record, verdict), executive_html(record, verdict)
    said: list[UsageError] = []
    try:
        use_templates({"verdict.md.j2": text, "executive.html.j2": "{{ oops }}"}, "perf/templates", said.append)
        after = markdown(record, verdict)
        assert executive_html(record, verdict) == page
    finally:
        use_templates("")
    assert len(after) <= LIMIT
    assert after.startswith(before[:200])
    assert [one.where for one in said] == ["perf/templates/verdict.md.j2", "perf/templates/executive.html.j2"]


def test_a_whole_comment_of_ones_own_keeps_the_marker(folder: Path) -> None:
    record, verdict = EXAMPLES["pass"]()
    (folder / "verdict.md.j2").write_text("ours: {{ view.level }}\n", encoding="utf-8")
    assert markdown(record, verdict) == f"{marker_of(record.plan)}\nours: pass\n"


def test_the_trend_can_be_changed_and_a_whole_template_replaced(folder: Path) -> None:
    (folder / "trend.html.j2").write_text("all ours: {{ most }}", encoding="utf-8")
    assert trend_html(()) == "all ours: 200"


@pytest.mark.parametrize(
    "text",
    [
        "{% block",
        "{{ nothing_of_this_name }}",
        "{{ view.no_such_field }}",
        '{% extends "velro/none.html.j2" %}',
        "{{ view.__class__.__mro__ }}",
        "{{ 1 / 0 }}",
        "{{ view.title + 1 }}",
        "{% for one in range(10 ** 9) %}{% endfor %}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ],
)
def test_a_mistake_in_a_template_is_an_error_in_words(folder: Path, text: str) -> None:
    for file, made in (("report.html.j2", html), ("executive.html.j2", executive_html), ("verdict.md.j2", markdown)):
        (folder / file).write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match="template cannot be used") as caught:
            made(*EXAMPLES["pass"]())
        assert caught.value.exit_code == 2


def test_text_from_outside_is_escaped_in_templates_of_ones_own(folder: Path) -> None:
    (folder / "trend.html.j2").write_text("{{ '<b>' ~ most }}", encoding="utf-8")
    assert trend_html(()) == "&lt;b&gt;200"


@pytest.mark.hostile("markup and commands")
@pytest.mark.parametrize("target", ["outside", "/dev/zero", "pipe", "nothing"])
def test_a_template_that_leads_out_of_its_folder_is_not_read(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "templates" / "below"
    folder.mkdir(parents=True)
    (tmp_path / "outside").write_text("canary-8471")
    if target == "pipe":
        os.mkfifo(folder / "verdict.md.j2")
    else:
        (folder / "verdict.md.j2").symlink_to(tmp_path / target)
    with pytest.raises(UsageError) as raised:
        use_template_folder(folder.parent)
    assert "not a regular file of this folder" in "\n".join(raised.value.lines())


def test_a_link_within_the_folder_of_templates_is_followed(folder: Path) -> None:
    (folder / "mine.md.j2").write_text("mine\n")
    (folder / "verdict.md.j2").symlink_to("mine.md.j2")
    use_template_folder(folder)
    assert "mine" in markdown(*EXAMPLES["pass"]())
