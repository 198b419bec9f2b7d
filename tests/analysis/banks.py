"""Banks made up for the tests: blocks whose response times are what the slowdown says, times noise of a known sd."""

from __future__ import annotations

import math

import numpy as np

from tests.analysis.duets import block
from tests.analysis.runs import run, summary
from velro_gate.model.bank import SLOWDOWNS, Bank, BankedBlock, BankHead

REQUESTS = 400


def bank(cycles: int = 20, *, sd: float = 0.01, seed: int = 1, hidden: float = 0.0) -> Bank:
    """``hidden``: by how much every second unchanged block is slower in truth."""
    random = np.random.default_rng(seed)
    made = run(summary())
    head = BankHead(seed=1, warm_up=1.0, seconds=3.0, plan=made.plan, environment=made.environment)
    blocks = []
    for cycle in range(cycles):
        for place, slowdown in enumerate(SLOWDOWNS):
            factor = (1.0 + slowdown) * math.exp(random.normal(0.0, sd)) * (1.0 + hidden * (place == 0))
            times = np.exp(random.normal(math.log(0.01 * factor), 0.3, REQUESTS)).round(6)
            blocks.append(
                BankedBlock(
                    cycle=cycle,
                    slowdown=slowdown,
                    block=block(summary(times=factor), controlled=0.001),
                    times=tuple(times.tolist()),
                )
            )
    return Bank(head=head, blocks=tuple(blocks))
