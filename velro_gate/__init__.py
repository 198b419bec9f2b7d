"""velro-gate: the performance gate for pull requests that teams keep switched on."""

import sys

__version__ = "0.1.0"

# httpx imports three more libraries for a command of its own, which is not used here: a seventh of what a shard takes to
# start. It provides for their absence.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
