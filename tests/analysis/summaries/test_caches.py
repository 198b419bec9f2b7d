"""Caches by layer: how often each answered of what reached it, and how fast."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.analysis.phases import phase, record, run_of, samples
from velro_gate.analysis.summaries.caches import cache_figures, cache_layers, warm_up_curve
from velro_gate.analysis.summaries.phase import summarise
from velro_gate.analysis.verdict.judge import judge
from velro_gate.model.samples import CACHE_MISS, FIRST_CACHE_LAYER, Samples
from velro_gate.report.formats.page import html

LAYERS = ("memory", "redis")
MEMORY, REDIS = FIRST_CACHE_LAYER, FIRST_CACHE_LAYER + 1


def answers(**counts: int) -> Samples:
    """Responses of memory in 1 ms, of redis in 3 ms and misses in 20 ms, spread evenly over 60 s from 10 s on."""
    kinds = {"memory": (MEMORY, 0.001), "redis": (REDIS, 0.003), "miss": (CACHE_MISS, 0.020)}
    cache = np.concatenate([np.full(count, kinds[name][0]) for name, count in counts.items()])
    times = np.concatenate([np.full(count, kinds[name][1]) for name, count in counts.items()])
    order = np.random.default_rng(1).permutation(len(cache))
    return samples(np.linspace(10.0, 69.9, len(cache)), times[order], cache=cache[order])


def test_a_layer_is_reached_by_what_no_nearer_layer_had() -> None:
    memory, redis, miss = cache_layers(answers(memory=800, redis=150, miss=50), LAYERS)
    assert (memory.name, memory.answered, memory.reached, memory.hit_rate) == ("memory", 800, 1000, 0.8)
    assert (redis.name, redis.answered, redis.reached, redis.hit_rate) == ("redis", 150, 200, 0.75)
    assert (miss.name, miss.answered, miss.reached, miss.hit_rate) == ("miss", 50, 50, None)
    assert [layer.p95.value for layer in (memory, redis, miss) if layer.p95] == pytest.approx([0.001, 0.003, 0.020])


def test_a_layer_that_is_named_and_never_answered_has_a_rate_of_nothing() -> None:
    memory, redis, _ = cache_layers(answers(memory=90, miss=10), LAYERS)
    assert (memory.hit_rate, redis.hit_rate, redis.p95) == (0.9, 0.0, None)


def test_without_a_word_of_a_cache_there_is_nothing() -> None:
    assert cache_layers(samples([10.0, 11.0]), LAYERS) == ()
    assert cache_figures(samples([10.0, 11.0])) == {}


def test_hits_and_misses_have_their_own_times_and_misses_their_share_of_p95() -> None:
    found = cache_figures(answers(memory=800, redis=100, miss=100))
    assert (found["hit_p50"].value, found["miss_p95"].value) == pytest.approx((0.001, 0.020))
    assert (found["hit_p95"].value, found["p95_from_misses"].value) == pytest.approx((0.003, 1.0 - 0.003 / 0.020))
    assert "miss_p95" not in cache_figures(answers(memory=900, miss=19))


def test_the_warm_up_is_seen_from_the_first_request_of_the_ramp() -> None:
    due = np.arange(0.0, 70.0, 0.05)
    cold = samples(due, cache=np.where(due < 14.0, CACHE_MISS, MEMORY))
    curve = warm_up_curve(cold, run_of(cold))
    assert curve[0] == (pytest.approx(70.0 / 60.0), 0.0)
    assert next(seconds for seconds, rate in curve if rate == 1.0) == pytest.approx(15.2, abs=0.1)


def test_the_record_counts_layers_over_time_and_the_report_shows_them_by_step() -> None:
    made = answers(memory=800, redis=100, miss=100)
    planned = phase()
    found = summarise(planned, ("login", "list"), run_of(made), made, (), LAYERS)
    assert sum(window.cache["redis"] for window in found.windows) == 100
    (whole, login, idle) = found.steps
    assert [layer.answered for layer in whole.layers] == [layer.answered for layer in login.layers] == [800, 100, 100]
    assert idle.layers == ()
    run = record(found, planned=(planned,))
    page = html(run, judge(run, []))
    assert "nearest to the user" in page
    assert "without them p95 would be" in page
    bare = dataclasses.replace(found, steps=tuple(dataclasses.replace(step, layers=()) for step in found.steps))
    without = record(bare, planned=(planned,))
    assert "nearest to the user" not in html(without, judge(without, []))
