"""Reduced samples on disk: they come back as they were, and what cannot be such samples is refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.analysis.phases import samples
from tests.store.values import some_samples
from velro_gate.analysis.summaries.reduced.columns import columns_of
from velro_gate.analysis.summaries.reduced.frame import Frame
from velro_gate.analysis.summaries.reduced.reduce import reduced
from velro_gate.analysis.summaries.reduced.tables import Kind, Reduced, key_of
from velro_gate.errors import RecordError
from velro_gate.store.samples import SampleWriter, read_kept, read_samples

pytestmark = pytest.mark.hostile("damaged records")

FRAME = Frame(measured_from=10.0, planned=60.0, steps=2)


def made() -> Reduced:
    random = np.random.default_rng(4)
    due = np.sort(random.uniform(0.0, 75.0, 500))
    return reduced(samples(due, random.lognormal(-4.0, 0.5, 500), step=np.arange(500) % 2, cache=np.arange(500) % 4), FRAME)


def test_reduced_samples_come_back_as_they_were_next_to_others(tmp_path: Path) -> None:
    path, whole = tmp_path / "samples.npz", made()
    with SampleWriter(path) as writer:
        writer.append("calm", some_samples(5))
        for _ in range(2):
            writer.add_reduced("a/b c%", whole)
    rows, counts = read_kept(path)
    assert list(rows) == list(read_samples(path)) == ["calm"]
    found = counts["a/b c%"]
    assert found.frame == FRAME
    assert (found.keys.tolist(), found.counts.tolist()) == (whole.keys.tolist(), (2 * whole.counts).tolist())
    assert (found.slowest.tolist(), found.rows, found.delivered) == (whole.slowest.tolist(), 1000, 1000)


def with_columns(path: Path, **changed: np.ndarray) -> Path:
    """A file of reduced samples of which some columns are others."""
    with zipfile.ZipFile(path, "w") as stored:
        for name, column in {**dict(columns_of(made())), **changed}.items():
            text = io.BytesIO()
            np.lib.format.write_array(text, column, allow_pickle=False)
            stored.writestr(f"calm/reduced/{name}.npy", text.getvalue())
    return path


def about(**changed: float) -> np.ndarray:
    return np.array(list(({"begin": 10.0, "planned": 60.0, "steps": 2.0, "rows": 5.0, "delivered": 5.0} | changed).values()))


def one(kind: Kind, *numbers: int) -> Callable[[], dict[str, np.ndarray]]:
    return lambda: {"keys": np.array([key_of(kind, *numbers)]), "counts": np.array([1])}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda: {"about": about()[:4]}, "what it says about"),
        (lambda: {"about": about(planned=np.nan)}, "what it says about"),
        (lambda: {"about": about(planned=0.0)}, "the frame"),
        (lambda: {"about": about(planned=1e15)}, "the frame"),
        (lambda: {"about": about(steps=1e9)}, "the frame"),
        (lambda: {"about": about(steps=1.5)}, "the frame"),
        (lambda: {"about": about(steps=1.0)}, "the slowest times"),
        (lambda: {"slowest": np.array([1.0, np.inf, 0.0, 0.0])}, "the slowest times"),
        (lambda: {"counts": made().counts[1:]}, "not in order"),
        (lambda: {"keys": made().keys[::-1].copy()}, "not in order"),
        (lambda: {"keys": made().keys * -1}, "not in order"),
        (lambda: {"counts": -made().counts}, "impossible"),
        (lambda: {"counts": np.full(len(made().counts), 1 << 62)}, "impossible"),
        (one(Kind.RESPONSE, 2, 1, 1), "RESPONSE"),
        (one(Kind.RESPONSE, 0, 1 << 21, 1), "RESPONSE"),
        (one(Kind.LATENESS, 0, 1, 60_000), "LATENESS"),
        (one(Kind.SENT, 0, (1 << 22) - 1), "SENT"),
        (one(Kind.CACHE, 7, 1, 1), "CACHE"),
        (lambda: {"keys": np.array([1 << 62]), "counts": np.array([1])}, "unknown kind"),
        (lambda: {"keys": made().keys.astype(np.float64)}, "holds"),
    ],
)
def test_what_cannot_be_reduced_samples_is_refused_with_the_reason(
    tmp_path: Path, changed: Callable[[], dict[str, np.ndarray]], said: str
) -> None:
    with pytest.raises(RecordError, match="the samples cannot be read") as refused:
        read_kept(with_columns(tmp_path / "samples.npz", **changed()))
    assert said in str(refused.value.why)


def test_a_column_that_is_missing_is_refused(tmp_path: Path) -> None:
    path = with_columns(tmp_path / "whole.npz")
    with zipfile.ZipFile(path) as stored, zipfile.ZipFile(tmp_path / "samples.npz", "w") as other:
        for member in stored.namelist():
            if "counts" not in member:
                other.writestr(member, stored.read(member))
    with pytest.raises(RecordError, match="the samples cannot be read"):
        read_kept(tmp_path / "samples.npz")
