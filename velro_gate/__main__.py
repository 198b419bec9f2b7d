"""``python -m velro_gate``."""

from __future__ import annotations

from velro_gate.hardening import harden

if __name__ == "__main__":
    # Before the rest is imported, which takes a while.
    harden()
    from velro_gate.cli import main

    main()
