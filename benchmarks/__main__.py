"""The short benchmarks one after the other: ``make bench``. The longer ones are listed in CONTRIBUTING.md."""

from __future__ import annotations

import subprocess
import sys

SHORT = ("startup", "judge", "generator")


def main() -> None:
    """Each in a process of its own, so that none inherits another's memory or open files."""
    for name in SHORT:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
