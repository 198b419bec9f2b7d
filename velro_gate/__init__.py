"""velro-gate: the performance gate for pull requests that teams keep switched on."""

__version__ = "0.1.0"
