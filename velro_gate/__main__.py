"""``python -m velro_gate``."""

from __future__ import annotations

from velro_gate.cli import main

if __name__ == "__main__":
    main()
