"""A template that never ends, or takes all memory, is said and replaced by the shipped one."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from tests.report.examples import EXAMPLES
from velro_gate.errors import UsageError
from velro_gate.gate.judge.template_limits import template_limits
from velro_gate.report.formats.comment import markdown
from velro_gate.report.text.templating import use_templates

HUNDRED_THOUSAND = "{% for a in range(100000) %}"
BOMBS = {
    "a loop that writes nothing": f"{HUNDRED_THOUSAND * 3}{{% endfor %}}{{% endfor %}}{{% endfor %}}",
    "a loop that writes": f"{HUNDRED_THOUSAND * 3}{'x' * 100}{{% endfor %}}{{% endfor %}}{{% endfor %}}",
    "one huge text": "{{ 'x' * 10000000000 }}",
    "a wide field": "{{ '%09999999999d' % 1 }}",
    "a filter": "{{ 'x' | center(10000000000) }}",
    "a power": "{{ 99 ** 99 ** 99 }}",
    "a product of huge numbers": "{% set n = namespace(v=7) %}{% for _ in range(40) %}{% set n.v = n.v * n.v %}{% endfor %}",
    "a sum of lists": "{{ ([[1] * 1000] * 100000) | sum(start=[]) }}",
    "a template that includes itself": "{% include 'verdict.md.j2' %}",
    "a macro that calls itself": "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    "lists of lists": "{% set l = [1] * 1000000000 %}{{ [l] * 1000000000 }}",
}


@pytest.fixture(autouse=True)
def shipped_again() -> Iterator[None]:
    yield
    use_templates("")


@pytest.mark.hostile("texts")
@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_template_that_does_not_end_is_said_once_and_the_shipped_one_used(text: str) -> None:
    made = EXAMPLES["fail-both"]()
    before, said = markdown(*made), list[UsageError]()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.getsignal(signal.SIGALRM)
    use_templates({"verdict.md.j2": text}, "perf", said.append, partial(template_limits, 0.3))
    assert markdown(*made) == before
    assert len(said) == 1
    assert said[0].why
    assert resource.getrlimit(resource.RLIMIT_AS) == limits
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_template_within_its_limits_is_used() -> None:
    made = EXAMPLES["fail-both"]()
    use_templates({"verdict.md.j2": "{{ 'x' * 1000 }}"}, "perf", None, template_limits)
    assert "x" * 1000 in markdown(*made)
