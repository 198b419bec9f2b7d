"""The command line: parses arguments, builds the real world, prints, exits. Nothing below it does any of these."""

from __future__ import annotations

from velro_gate.cli.entry import main

__all__ = ["main"]
