from __future__ import annotations

import contextlib
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.monitor.sources.exposition import Sample, parse

pytestmark = pytest.mark.hostile("hostile HTTP servers")

PAGE = """\
# HELP velro_cache_hits_total Hits by layer
# TYPE velro_cache_hits_total counter
velro_cache_hits_total{layer="memory"} 120
velro_cache_hits_total{layer="redis",} 3.5e2 1700000000000
velro_db_pool_size 200
other{broken 1
velro_db_pool_size_bytes 7
"""


def test_only_the_wanted_families_are_read() -> None:
    found = parse(PAGE, {"velro_cache_hits_total", "velro_db_pool_size"})
    assert found == [
        Sample(family="velro_cache_hits_total", labels={"layer": "memory"}, value=120.0),
        Sample(family="velro_cache_hits_total", labels={"layer": "redis"}, value=350.0),
        Sample(family="velro_db_pool_size", labels={}, value=200.0),
    ]


def test_lines_of_other_families_may_be_anything() -> None:
    assert parse(PAGE, {"absent"}) == []


@pytest.mark.parametrize(
    "line",
    [
        "m",
        "m one",
        'm{a="1" 2',
        'm{a="1"b="2"} 3',
        "m{a=1} 2",
        'm{a="x\\q"} 1',
        'm{a="1",a="2"} 3',
        "m 1 2 3",
        "m{} ",
        "m 1_000",
    ],
)
def test_a_wanted_line_that_breaks_the_grammar_is_an_error_with_its_number(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        parse(f"# comment\n{line}\n", {"m"})


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("m 1", 1.0),
        ("m\t1", 1.0),
        ("m{} 2", 2.0),
        ("m +Inf", math.inf),
        ("m 1e3 17", 1000.0),
        ('m 5 # {trace="x"} 0.3 1.5', 5.0),
    ],
)
def test_every_form_of_a_value_is_understood(line: str, value: float) -> None:
    assert parse(line, {"m"})[0].value == value


def test_a_value_that_is_no_number_by_the_formats_own_word_is_kept_as_such() -> None:
    assert math.isnan(parse("m NaN", {"m"})[0].value)


NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")) | st.just("\n"), max_size=12)


def written(family: str, labels: dict[str, str], value: float) -> str:
    escaped = {name: text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name, text in labels.items()}
    inside = ",".join(f'{name}="{text}"' for name, text in escaped.items())
    return f"{family}{{{inside}}} {value!r}"


@given(NAMES, st.dictionaries(NAMES, TEXT, max_size=4), st.floats(allow_nan=False))
def test_what_is_written_by_the_rules_is_read_back(family: str, labels: dict[str, str], value: float) -> None:
    assert parse(written(family, labels, value), {family}) == [Sample(family=family, labels=labels, value=value)]


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert all(sample.family == "m" for sample in parse(f"m{text}", {"m"}))


@given(
    st.lists(
        st.sampled_from(["m", "m_total", "xm", "m{", "m 1", "#m 2", "", " m 3", "m:x 4", 'm{a="b"} 5', "m 6\r"]),
        max_size=12,
    ),
    st.sets(st.sampled_from(["m", "m_total", "m:x", "x", "", "é"])),
)
def test_the_lines_of_a_family_are_those_that_begin_with_its_name(lines: list[str], families: set[str]) -> None:
    name = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
    wanted = [line for line in lines if (found := name.match(line)) and found[0] in families]
    text = "\n".join(lines)
    try:
        found = [(sample.family, sample.value) for sample in parse(text, families)]
    except ValueError as error:
        number = int(str(error).partition(":")[0].removeprefix("line "))
        assert lines[number - 1] in wanted
    else:
        assert [family for family, _ in found] == [name.match(line)[0] for line in wanted]
