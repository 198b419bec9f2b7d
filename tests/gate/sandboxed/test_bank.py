"""Filling a bank with blocks of the real sandbox, and the order in which they are measured."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.gate.world import Spectator
from velro_gate.errors import InterruptedRunError
from velro_gate.gate.duet.blocks import BlockShape
from velro_gate.gate.measure.results import make_results
from velro_gate.gate.sandboxed import effects as world
from velro_gate.gate.sandboxed.bank import BankOptions, fill_bank, order_of
from velro_gate.gate.sandboxed.effects import sandbox_effects, sandbox_setup
from velro_gate.model.bank import SLOWDOWNS, Bank
from velro_gate.sandbox.builds import build_line
from velro_gate.store.bank import read_bank

SMALL = """\
name: small
target: {url: "${env.VELRO_API_URL}"}
auth: {bearer: SUPABASE_SERVICE_KEY}
headers: {X-User-Id: "${accounts.id}"}
feeders:
  accounts: {rows: 20, columns: {id: {sequence: user-}}}
steps:
  - {name: authentication_check, path: /api/v1/auth/me}
profiles:
  demo:
    - {name: steady, users: 20, ramp: 0.5 s, duration: 2 s, rate: 100/s}
"""


def test_the_order_inside_a_cycle_is_drawn_from_the_seed_and_every_order_comes_up() -> None:
    orders = [tuple(order_of(1, cycle)) for cycle in range(300)]
    assert orders == [tuple(order_of(1, cycle)) for cycle in range(300)]
    assert orders != [tuple(order_of(2, cycle)) for cycle in range(300)]
    # Four blocks of which two are alike have twelve orders.
    assert len(Counter(orders)) == 12
    assert all(sorted(order) == sorted(SLOWDOWNS) for order in orders)


def test_a_signal_ends_it_and_what_is_no_whole_cycle_is_not_kept(tmp_path: Path) -> None:
    sent: list[int] = []

    def interrupt(_: object) -> None:
        # Once: a second signal ends everything at once.
        if not sent:
            sent.append(signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR1)

    effects = replace(sandbox_effects(Spectator({**os.environ}).effects), signals=(signal.SIGUSR1,), observe=interrupt)
    scenario = tmp_path / "small.yaml"
    scenario.write_text(SMALL, encoding="utf-8")
    path = tmp_path / "bank.jsonl"
    # Seen about once a second: the load lasts long enough to be seen once, and ends then.
    wanted = BankOptions(cycles=1, seed=1, shape=BlockShape(warm_up=0.5, seconds=30.0))
    with pytest.raises(InterruptedRunError, match="0 of 1 cycles"):
        fill_bank(sandbox_setup(effects, scenario), path, wanted, make_results(tmp_path / "results", "bank"), effects)
    assert read_bank(path).blocks == ()


def test_a_bank_of_the_real_sandbox_is_filled_block_by_block_and_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As many as the scenario has accounts: caches of a thousand times as many take most of a sandbox's start to fill.
    monkeypatch.setattr(world, "build_line", lambda *given, **named: f"{build_line(*given, **named)} --users 20")
    spectator = Spectator({**os.environ})
    effects = sandbox_effects(spectator.effects)
    scenario = tmp_path / "small.yaml"
    scenario.write_text(SMALL, encoding="utf-8")
    setup = sandbox_setup(effects, scenario)
    path = tmp_path / "bank.jsonl"
    wanted = BankOptions(cycles=1, seed=2, shape=BlockShape(warm_up=0.5, seconds=1.0))

    def fill() -> Bank:
        return fill_bank(setup, path, wanted, make_results(tmp_path / "results", "bank"), effects)

    bank = fill()
    assert [block.slowdown for block in bank.blocks] == order_of(2, 0)
    for block in bank.blocks:
        step = block.block.phases[0].step()
        assert step is not None
        assert len(block.times) == step.counts.ok > 0
        assert sorted(block.times)[len(block.times) // 2] == pytest.approx(step.measurements["p50"].value, rel=0.05)
        assert block.block.control is not None
        assert block.block.control.counts.ok > 0
    assert any(line.startswith("cycle 1 of 1: p95 unchanged") for line in spectator.said)
    secret = effects.environ["VELRO_SANDBOX_SECRET"]
    assert not any(secret in file.read_text() for file in tmp_path.rglob("*") if file.is_file())

    # Nothing is measured for what is there already; a crash in the last line costs that line's cycle.
    spectator.said.clear()
    whole = path.read_text()
    assert fill() == bank
    assert path.read_text() == whole
    assert spectator.said == []
    path.write_text(whole[:-100])
    assert len(fill().cycles) == 1
    assert spectator.said != []
