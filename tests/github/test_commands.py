"""Workflow commands, outputs and the summary: nothing from outside is obeyed, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velro_gate.errors import PublishError
from velro_gate.github.channels.commands import Annotation, Weight, annotation, annotation_lines, harmless, output_line
from velro_gate.github.channels.status import shortened
from velro_gate.github.job_files import SUMMARY_LIMIT, append_outputs, append_summary

pytestmark = pytest.mark.hostile("markup and commands")

texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40) | st.sampled_from(
    ("::error::x", "a\n::set-output name=a::b", "50 %\r\n", "##[group]x", "a ##[add-mask]b", "\r\u2003::add-mask::x", "a,b:c")
)


def test_an_annotation_escapes_its_message_and_its_properties_differently() -> None:
    made = annotation(Annotation(weight=Weight.ERROR, title="a: b, 5 %", message="x: y, 5 %\nz", file="s.yaml", line=3))
    assert made == "::error file=s.yaml,line=3,title=a%3A b%2C 5 %25::x: y, 5 %25%0Az"


def test_an_annotation_without_place_or_title_has_no_properties() -> None:
    assert annotation(Annotation(weight=Weight.WARNING, title="", message="m")) == "::warning::m"


@given(title=texts, message=texts)
def test_an_annotation_is_one_line_whatever_it_says(title: str, message: str) -> None:
    made = annotation(Annotation(weight=Weight.WARNING, title=title, message=message))
    assert "\n" not in made
    assert "\r" not in made
    assert made.startswith("::warning")


def test_no_more_annotations_of_a_weight_than_github_shows_and_the_first_ones_stay() -> None:
    many = [Annotation(weight=Weight.ERROR, title="", message=f"e{n}") for n in range(12)]
    made = annotation_lines([*many, Annotation(weight=Weight.WARNING, title="", message="w")])
    assert made == [*(f"::error::e{n}" for n in range(10)), "::warning::w"]


@given(texts)
def test_no_line_of_a_harmless_text_is_a_command(text: str) -> None:
    made = harmless(text)
    assert not any(line.lstrip().startswith("::") for line in made.replace("\r", "\n").split("\n"))
    # The runner obeys this one in the middle of a line, too.
    assert "##[" not in made
    assert harmless(made) == made


def test_a_harmless_text_still_says_what_it_said() -> None:
    assert harmless("fine\n\n ::error::x a::b ##[group]y") == "fine\n\n|  ::error::x a::b ## [group]y"


def read_outputs(text: str) -> dict[str, str]:
    """As the runner reads them."""
    found, lines = {}, iter(text.split("\n"))
    for line in lines:
        if "<<" in line:
            name, end = line.split("<<", 1)
            value = []
            for inner in lines:
                if inner == end:
                    break
                value.append(inner)
            found[name] = "\n".join(value)
    return found


@given(st.dictionaries(st.sampled_from(("verdict", "headline", "x")), texts.filter(lambda text: "\r" not in text)))
def test_outputs_are_read_back_whatever_they_hold(outputs: dict[str, str]) -> None:
    text = "".join(output_line(name, value, "d-of-chance") for name, value in outputs.items())
    assert read_outputs(text) == outputs


def test_an_output_that_could_set_others_is_refused() -> None:
    with pytest.raises(ValueError, match="delimiter"):
        output_line("a", "x\nEND\nverdict<<E\npass", "END")


def test_each_output_has_a_delimiter_of_its_own_that_nobody_can_guess(tmp_path: Path) -> None:
    append_outputs(tmp_path / "out", {"a": "1", "b": "2\n3"})
    append_outputs(tmp_path / "out", {"a": "4"})
    text = (tmp_path / "out").read_text(encoding="utf-8")
    ends = [line.split("<<")[1] for line in text.splitlines() if "<<" in line]
    assert len(set(ends)) == 3
    assert min(map(len, ends)) > 30
    assert read_outputs(text) == {"a": "4", "b": "2\n3"}


def test_a_summary_is_added_to_what_is_there(tmp_path: Path) -> None:
    append_summary(tmp_path / "s", "one")
    append_summary(tmp_path / "s", "two\n")
    assert (tmp_path / "s").read_text(encoding="utf-8") == "one\ntwo\n"


def test_a_summary_that_github_would_drop_is_cut_at_a_line(tmp_path: Path) -> None:
    append_summary(tmp_path / "s", "é" * 300_000 + "\n" + "è" * 300_000 + "\n")
    text = (tmp_path / "s").read_text(encoding="utf-8")
    assert text == "é" * 300_000 + "\n"
    assert len(text.encode()) <= SUMMARY_LIMIT


def test_a_file_that_cannot_be_written_is_a_failure_to_publish(tmp_path: Path) -> None:
    with pytest.raises(PublishError) as caught:
        append_summary(tmp_path / "none" / "s", "x")
    assert caught.value.exit_code == 5


@given(texts, st.integers(20, 140))
def test_a_shortened_text_is_one_line_and_fits(text: str, longest: int) -> None:
    made = shortened(text, longest)
    assert len(made) <= longest
    assert "\n" not in made


def test_a_short_text_stays_and_a_long_one_ends_at_a_word() -> None:
    assert shortened("as it is") == "as it is"
    assert shortened("word " * 50) == "word " * 26 + "word…"
