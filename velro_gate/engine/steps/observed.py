"""What a scenario's own metrics take from a successful response: a header, or a value of its JSON body, as a number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from velro_gate.engine.http.parsing.codings import CONTENT_ENCODING, LIGHT, CodingError, decoded
from velro_gate.engine.http.parsing.responses import Response
from velro_gate.engine.steps.checks import json_path
from velro_gate.engine.steps.documents import JsonPath, value_at
from velro_gate.model.metric.own import MetricOrigin, OwnMetric, OwnValue
from velro_gate.model.readings import plausible

Put = Callable[[int, float, float], None]
"""Keeps a number: (index of the metric, when the request fell due, the number)."""

Headers = Sequence[tuple[bytes, bytes]]

_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")


class Observation:
    """The metrics of one step. wanted: each with its index in the log."""

    def __init__(self, wanted: Sequence[tuple[int, OwnMetric]]) -> None:
        self._headers = [(index, each.what.encode(), each) for index, each in wanted if each.origin is MetricOrigin.HEADER]
        self._values: list[tuple[int, JsonPath, OwnMetric]] = [
            (index, json_path(each.what), each) for index, each in wanted if each.origin is MetricOrigin.JSON
        ]
        self.wants_body = bool(self._values)

    def __call__(self, answer: Response, due: float, put: Put) -> None:
        """Note what there is; a metric whose value is not in the answer gets none."""
        self.note(answer.captured or (), answer.body or (), due, put)

    def note(self, headers: Headers, body: Sequence[bytes], due: float, put: Put) -> None:
        """Note what there is in headers (names in lower case) and in a body as it came, in pieces."""
        for index, name, metric in self._headers:
            said = next((value for header, value in headers if header == name), None)
            if said is not None:
                _put(put, index, due, metric, said.decode("latin-1").strip())
        if not self._values:
            return
        document = _document(headers, body)
        for index, path, metric in self._values:
            found = value_at(document, path)
            if isinstance(found, str | int | float):
                _put(put, index, due, metric, json.dumps(found) if isinstance(found, bool) else str(found))


def observation_of(step: str, metrics: Sequence[OwnMetric]) -> Observation | None:
    """What is taken from the answers of a step; None where no metric looks at them."""
    seen = observed_metrics(metrics)
    wanted = [(index, each) for index, each in enumerate(seen) if not each.steps or step in each.steps]
    return Observation(wanted) if wanted else None


def observed_metrics(metrics: Sequence[OwnMetric]) -> list[OwnMetric]:
    """Those that are taken from answers, in the order of their indices."""
    return [each for each in metrics if each.origin in (MetricOrigin.HEADER, MetricOrigin.JSON)]


def _put(put: Put, index: int, due: float, metric: OwnMetric, said: str) -> None:
    if metric.value is OwnValue.SHARE:
        put(index, due, float(said.lower() == metric.equals.lower()))
        return
    match = _NUMBER.search(said)
    value = plausible(float(match[0])) if match is not None else None
    if value is not None:
        put(index, due, value)


def _document(headers: Headers, pieces: Sequence[bytes]) -> object:
    """Of a body that is read within the loop; a long one would hold up all users."""
    coding = b",".join(value for name, value in headers if name == CONTENT_ENCODING)
    try:
        body = decoded(b"".join(pieces), coding, LIGHT)
        return json.loads(body) if len(body) <= LIGHT else None
    except (CodingError, ValueError, RecursionError):
        return None
