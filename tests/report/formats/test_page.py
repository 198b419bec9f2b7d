"""The HTML page stands alone: well-formed, no foreign script, nothing fetched, every section there, hostile text harmless."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from tests.report.examples import EXAMPLES
from tests.report.hostile import hostile
from velro_gate.report.charts import library
from velro_gate.report.formats.comment import markdown
from velro_gate.report.formats.page import html

VOID = {"meta", "br", "link", "img", "hr", "rect", "path", "input"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and insists that what was opened is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)


@pytest.fixture(params=sorted(EXAMPLES), scope="module")
def page(request: pytest.FixtureRequest) -> str:
    return without_library(html(*EXAMPLES[request.param]()))


def without_library(page: str) -> str:
    """The page without the library's script, which is the same in every one."""
    script = library.library()
    assert script is not None
    return page.replace(script, "")


@pytest.mark.slow
def test_the_page_is_well_formed_and_has_one_heading(page: str) -> None:
    assert Page(page).tags.count("h1") == 1


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    made = Page(page)
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & set(made.tags)
    assert made.tags.count("script") == 3
    assert not [value for name, value in made.attributes if name in ("src", "href", "action") or name.startswith("on")]
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_the_page_runs_only_its_own_two_scripts_and_may_fetch_nothing(page: str) -> None:
    (policy,) = (value for name, value in Page(page).attributes if name == "content" and value and "script-src" in value)
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/=]{44}' 'sha256-[\w+/=]{44}'", parts["script-src"])


def test_without_the_library_the_page_has_pictures_and_no_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "library", lambda: None)
    made = Page(html(*EXAMPLES["pass"]()))
    assert "script" not in made.tags
    assert "svg" in made.tags


def test_every_part_is_there(page: str) -> None:
    heads = re.findall(r"<h2>([^<]+)", page.replace("Head and base side by side", "Compared with the baselines"))
    assert [head.strip() for head in heads if head != "The first failed response of each kind"] == [
        "What to do next",
        "Over time",
        "Requirements",
        "Compliance",
        "Compared with the baselines",
        "Can the measurement be trusted?",
        "Phases",
        "Steps",
        "How requests ended",
        "Resources",
        "All findings",
        "Method",
    ]


def test_light_dark_and_paper_each_have_their_colours(page: str) -> None:
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page


def test_no_missing_value_shows_as_a_word_of_the_language(page: str) -> None:
    words = " ".join(Page(page).words)
    assert not re.search(r"\b(None|nan|inf|Undefined)\b", words)


def test_every_table_row_has_the_cells_of_its_header(page: str) -> None:
    for table in re.findall(r"<table>.*?</table>", page, re.DOTALL):
        width = table[: table.index("</thead>")].count("<th") - 1  # "<thead" itself
        for row in re.findall(r"<tr>(.*?)</tr>", table[table.index("<tbody>") :], re.DOTALL):
            assert row.count("<td") == width


def test_no_cell_is_empty(page: str) -> None:
    assert not re.search(r"<td[^>]*>\s*</td>", page)


def test_every_class_of_a_chart_has_its_colour(page: str) -> None:
    style = page[page.index("<style>") : page.index("</style>")]
    for kind in set(re.findall(r'class="line (\w+)"', page)):
        assert f".{kind}" in style


def test_the_same_input_gives_the_same_page() -> None:
    assert html(*EXAMPLES["pass"]()) == html(*EXAMPLES["pass"]())


def test_text_from_outside_stays_text() -> None:
    made = Page(without_library(html(*hostile().made)))
    assert not {"img", "b", "i", "a"} & set(made.tags)
    assert made.tags.count("script") == 3
    assert "<script>alert(1)</script>" in "".join(made.words)
    assert "\x1b" not in "".join(made.words)


def test_a_page_is_light_enough_to_send(page: str) -> None:
    assert len(page.encode()) < 260_000


def test_redirects_that_were_followed_stand_next_to_the_status_codes() -> None:
    run, verdict = EXAMPLES["pass"]()
    assert "redirects followed" not in html(run, verdict)
    first, *rest = run.phases
    redirected = dataclasses.replace(run, phases=(dataclasses.replace(first, redirects_followed=1_234), *rest))
    assert "redirects followed: 1,234" in html(redirected, verdict)
    assert "redirects followed: 1,234" in markdown(redirected, verdict)


def test_many_unchanged_figures_are_folded_and_every_other_finding_stands_open() -> None:
    run, verdict = EXAMPLES["fail-both"]()
    page = without_library(html(run, verdict))
    compared = page[page.index("<h2>Compared with") : page.index("<h2>Can the measurement")]
    opened, folded = compared.split(" unchanged figures</summary>")
    findings = [row.verdict.value for row in verdict.comparisons]
    reported = re.findall(r'data-label="Finding"><span class="status [\w-]+">([\w ]+)<', folded)
    assert set(reported) == {"unchanged"}
    assert opened.endswith(str(len(reported)))
    others = re.findall(r'data-label="Finding"><span class="status [\w-]+">([\w ]+)<', opened)
    assert sorted(reported + others) == sorted(findings)
    assert "regression" in others


def test_on_a_phone_where_tables_have_no_head_every_cell_names_its_column(page: str) -> None:
    rows = re.findall(r"<tr><td>.*?</tr>", page)
    assert bool(rows) == ("<td" in page)
    for row in rows:
        assert "<td>" not in row.removeprefix("<tr><td>"), row
        assert '<td class="n">' not in row, row
