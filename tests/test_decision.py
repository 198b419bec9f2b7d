"""What others may import to decide with: it is documented, and the page's examples run."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.runs import baselines, run, summary
from velro_gate import decision
from velro_gate.store.baselines import add_baseline
from velro_gate.store.codec import encode_record

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
FORMULAS = ("noise_of", "failing_worsening", "holm", "false_discovery", "fisher", "newcombe", "dispersion", "wilson", "growth")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a slow run under velro-results/RUN, and ten baselines."""
    for record in baselines(10, sd=0.01):
        add_baseline(tmp_path / "baselines", record)
    folder = tmp_path / "velro-results" / "RUN"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(encode_record(run(summary(times=1.4), number=59)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("kept")
def test_the_examples_of_the_page_run_and_say_what_they_should(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for example in EXAMPLES:
        exec(compile(example, "docs/python.md", "exec"), {})
        said.append(capsys.readouterr().out)
    judged, seen, pairs, frame = said
    assert judged.startswith("FAIL\nsteady all p50 +")
    assert re.fullmatch(r"level 40\.0 ms, noise [\d.]+%, \+[\d.]+% would fail\n", seen)
    assert "0.00097656" in pairs
    assert re.search(r"started_at +\n\d{4}-", frame)


@pytest.mark.parametrize("name", decision.__all__)
def test_every_name_is_documented_and_stands_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE
    made = getattr(decision, name)
    assert made is decision.METRICS or inspect.getdoc(made)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_names_its_source(name: str) -> None:
    assert re.search(r"\b1[89]\d\d\b|\b20\d\d\b|decision\.md", getattr(decision, name).__doc__)


ODD = st.sampled_from([math.nan, math.inf, -math.inf])


@given(ODD)
def test_whatever_is_no_number_is_refused_in_words(odd: float) -> None:
    calls: list[Callable[[], object]] = [
        lambda: decision.noise_of([0.1, odd], decision.METRICS["p95"], decision.Policy()),
        lambda: decision.holm([0.1, odd]),
        lambda: decision.false_discovery([0.1, odd]),
        lambda: decision.fisher((odd, 10), (1, 10)),
        lambda: decision.fisher((1, 0), (1, 10)),
        lambda: decision.newcombe((1, 10), (1, odd), 1.96),
        lambda: decision.newcombe((0, 0), (1, 10), 1.96),
        lambda: decision.dispersion([(10, 1), (10, odd)]),  # type: ignore[list-item]
        lambda: decision.paired(np.array([[0.1], [odd]]), 1),
        lambda: decision.detectable(np.array([[0.1], [odd]]), 1, 0.01, np.array([0.05])),
        lambda: decision.growth(np.arange(12.0), np.full(12, odd)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"must be finite numbers|is not a share"):
            call()


def test_runs_that_nobody_asked_anything_of_show_no_dispersion() -> None:
    assert decision.dispersion([(0, 0), (0, 0)], [(10, 1)]) == 1.0
