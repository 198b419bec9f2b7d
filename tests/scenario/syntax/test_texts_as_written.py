"""What is meant as a text is sent as it stands in the file, though YAML takes it for a number or a flag."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenario.files import faults, load

HEAD = "name: x\ntarget: {url: 'http://x'}\nprofiles: {pr: [{name: load, users: 1, duration: 1, rate: 50}]}\n"
STEP = "steps: [{name: a, path: /, %s}]\n"
WORDS = ["1.10", "+4915112345678", "12e03", "01234", "True", "0.50", "-0", "123456789012345678901", "1_000", "~x"]


@pytest.mark.parametrize("word", WORDS)
def test_a_header_a_query_and_a_choice_go_out_as_they_are_written(tmp_path: Path, word: str) -> None:
    text = HEAD + STEP % f"headers: {{X-A: {word}}}, query: {{q: {word}, c: '${{f.c}}'}}"
    text += f"headers: {{X-B: {word}}}\nfeeders: {{f: {{rows: 1, columns: {{c: {{choice: [{word}]}}}}}}}}\n"
    scenario = load(text, tmp_path)
    (step,) = scenario.steps
    assert dict(step.headers) == {"X-A": word, "X-B": word}
    assert dict(step.query)["q"] == word
    assert scenario.feeders[0].rows == ((word,),)


def test_an_anchor_brings_the_word_along(tmp_path: Path) -> None:
    scenario = load(HEAD + STEP % "headers: {X-A: &v 1.10, X-B: *v}", tmp_path)
    assert dict(scenario.steps[0].headers) == {"X-A": "1.10", "X-B": "1.10"}


def test_a_row_of_json_goes_out_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"v": 1.10, "n": 10000000000000000000000, "f": true}]', encoding="utf-8")
    scenario = load(HEAD + STEP % "query: {v: '${r.v}'}" + "feeders: {r: {file: rows.json}}\n", tmp_path)
    assert scenario.feeders[0].rows == (("1.10", "10000000000000000000000", "true"),)


def test_a_number_with_a_plus_is_refused_in_a_json_body_where_it_would_lose_it(tmp_path: Path) -> None:
    found = faults(HEAD + STEP % "method: POST, json: {phone: +4915112, many: [1, +2], version: 1.10}", tmp_path)
    assert [("+4915112" in fault, "+2" in fault) for fault in found] == [(True, False), (False, True)]
    assert "in quotes" in found[0]


def test_a_rate_without_a_unit_is_per_second(tmp_path: Path) -> None:
    (phase,) = load(HEAD + STEP % "method: GET", tmp_path).profiles["pr"]
    assert phase.offered_rate == 50.0
