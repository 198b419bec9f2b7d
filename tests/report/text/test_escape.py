"""Text from outside shows as it is and does nothing: no link, no mention, no markup, no formula, no terminal sequence."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from velro_gate.report.text import escape

pytestmark = pytest.mark.hostile("markup and commands")

GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = st.text(alphabet=st.sampled_from(list("ab1 *_`~[]()<>!|\\#@&$:/.-+={}\"'\n\t\u202e\x1b\u200b%")), max_size=40)


def seen(markdown: str) -> str:
    """The text that a reader sees: rendered, tags and invisible joiners taken away."""
    rendered = GITHUB.render(markdown)
    bare = html.unescape(re.sub(r"<[^>]*>", "", rendered))
    return " ".join(bare.replace("\u200b", "").split())


def tags(markdown: str) -> set[str]:
    return set(re.findall(r"<(\w+)", GITHUB.render(markdown)))


@given(HOSTILE)
def test_any_line_is_seen_as_written(text: str) -> None:
    assert seen(escape.markdown_line(text)) == escape.visible(text)


@given(HOSTILE)
def test_no_line_becomes_markup(text: str) -> None:
    assert tags(escape.markdown_line(text)) <= {"p"}


@given(HOSTILE)
def test_no_text_breaks_out_of_a_table_cell(text: str) -> None:
    table = f"| a | b |\n|:--|:--|\n| {escape.markdown_text(text)} | end |"
    rendered = GITHUB.render(table)
    assert rendered.count("<td") == 2
    assert tags(table) <= {"table", "thead", "tbody", "tr", "th", "td"}
    assert seen(table) == " ".join(f"a b {escape.visible(text)} end".split())


@given(HOSTILE)
def test_no_name_breaks_out_of_a_table_cell(text: str) -> None:
    table = f"| a | b |\n|:--|:--|\n| {escape.markdown_name(text)} | end |"
    assert GITHUB.render(table).count("<td") == 2
    assert tags(table) <= {"table", "thead", "tbody", "tr", "th", "td", "code"}


@pytest.mark.parametrize(
    ("text", "trigger"),
    [
        ("thanks @octocat", "@octocat"),
        ("see @org/team", "@org"),
        ("fixes #12", "#12"),
        ("fixes owner/repo#12", "#12"),
        ("GH-12 and gh-12", "GH-12"),
        ("https://evil.example/x", "https://"),
        ("www.evil.example", "www."),
        ("mail a@b.example", "@b"),
    ],
)
def test_what_github_would_link_is_split_by_an_invisible_joiner(text: str, trigger: str) -> None:
    escaped = escape.markdown_text(text)
    assert trigger not in escaped
    assert escape.JOINER in escaped
    assert seen(escaped) == text


def test_identifiers_keep_their_underscores_unescaped_and_emphasis_does_not_happen() -> None:
    assert escape.markdown_text("authorization_check") == "authorization_check"
    assert tags(escape.markdown_line("_all_ of __it__ *now*")) == {"p"}


def test_a_plain_name_is_a_code_span_and_a_strange_one_is_escaped_prose() -> None:
    assert escape.markdown_name("authorization_check") == "`authorization_check`"
    assert escape.markdown_name("a`b|c") == r"a\`b\|c"


@pytest.mark.slow
@given(st.text(max_size=60))
def test_visible_text_is_one_line_without_control_characters(text: str) -> None:
    shown = escape.visible(text)
    assert shown.isprintable()
    assert shown == shown.strip()


def test_direction_overrides_and_terminal_sequences_are_taken_out() -> None:
    assert escape.visible("safe\u202egnp.exe\x1b[31m") == "safe gnp.exe [31m"


@pytest.mark.parametrize("url", ["https://ci.example/run/7?a=b#log", "http://127.0.0.1:8000/x"])
def test_a_web_address_becomes_a_link(url: str) -> None:
    assert f'href="{html.escape(url)}"' in GITHUB.render(escape.markdown_link("Run log", url))


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "https://a> <b", "https://a\nb", "", "//evil.example"]
)
def test_any_other_address_leaves_only_the_label(url: str) -> None:
    assert escape.markdown_link("Run log", url) == "Run log"


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_marker_key_can_neither_end_its_comment_nor_be_empty(scenario: str, profile: str) -> None:
    key = escape.marker_key(scenario, profile)
    assert re.fullmatch(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", key)
    assert "--" not in key


def test_a_usual_key_is_readable() -> None:
    assert escape.marker_key("velro-prd", "pr") == "velro-prd/pr"


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("took 75 ms here", "took 75\u00a0ms here"),
        ("rose 31 % in", "rose 31\u00a0% in"),
        ("≥ 95 %", "≥\u00a095\u00a0%"),
        ("7 min 30 s", "7\u00a0min 30\u00a0s"),
        ("5 points", "5\u00a0points"),
        ("10 baselines", "10 baselines"),
    ],
)
def test_a_figure_is_bound_to_its_unit(text: str, bound: str) -> None:
    assert escape.bound(text) == bound


def test_a_cell_may_break_only_before_a_parenthesis() -> None:
    assert escape.cell("46.4 ms (45.0 to 47.9 ms)") == "46.4\u00a0ms (45.0\u00a0to\u00a047.9\u00a0ms)"
