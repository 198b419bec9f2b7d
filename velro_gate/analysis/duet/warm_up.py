"""How long a freshly started build takes to settle: what of its first windows does not belong to the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from velro_gate.arrays import Floats
from velro_gate.model.metrics import FAILING_QUANTILES
from velro_gate.model.record import Window

ALIKE = 1.5
"""Times the least error at which a cut still counts as about as good."""

_LEAST = 6
"""Windows; of fewer the error of what is left after a cut is too uncertain to choose by."""


def settled_after(windows: Sequence[Window]) -> float:
    """Seconds from the first window's start until the response times have settled; at most half of the windows' time.

    The marginal standard error rule: the cut d that makes sum_{i >= d} (y_i - mean)^2 / (n - d)^2 least, for d up to n / 2, y
    the logarithm of a window's quantile (White 1997, Simulation 69:323); the latest cut of the quantiles that may fail a run.
    0 with fewer than six windows. Of cuts that do about as well (within ``ALIKE``) the earliest is taken, since noise alone
    moves the least.
    """
    if len(windows) < _LEAST:
        return 0.0
    cuts = [_cut(found) for name in FAILING_QUANTILES if (found := _logs(windows, name)) is not None]
    cut = max(cuts, default=0)
    return windows[cut].start - windows[0].start


def _logs(windows: Sequence[Window], name: str) -> Floats | None:
    values = [getattr(window, name) for window in windows]
    if any(value is None or value <= 0.0 for value in values):
        return None
    logs: Floats = np.log(np.array(values))
    return logs


def _cut(y: Floats) -> int:
    n = len(y)
    errors = [float(((y[d:] - y[d:].mean()) ** 2).sum()) / (n - d) ** 2 for d in range(n // 2 + 1)]
    return int(np.flatnonzero(np.array(errors) <= ALIKE * min(errors))[0])
