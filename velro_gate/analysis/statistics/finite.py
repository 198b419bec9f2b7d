"""What is computed from must be numbers: a NaN that is passed on comes out as a verdict that nobody can explain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from velro_gate.arrays import Floats


def finite(values: Floats | Sequence[float], what: str) -> Floats:
    """The values as an array of their shape.

    Raises:
        ValueError: one of them is NaN or infinite; ``what`` names them.
    """
    found = np.asarray(values, np.float64)
    odd = found[~np.isfinite(found)]
    if odd.size:
        raise ValueError(f"{what} must be finite numbers: {odd.size} of {found.size} are not, such as {odd.flat[0]}")
    return found
