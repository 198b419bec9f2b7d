#!/usr/bin/env bash
# Becomes velro-gate, with the Python that install.sh has prepared.
#
# Usage: scripts/run.sh COMMAND [ARGUMENT...]      (VELRO_INSTALLED_PYTHON: that Python)
#
# A cancelled job interrupts the first process of a step and gives it 7.5 seconds. With exec that process is the one that
# measures, so it can keep what it has, say so and stop what it started. -I and -B: nothing of the workspace is imported, and
# nothing is written next to the code.
set -euo pipefail

PYTHON=${VELRO_INSTALLED_PYTHON:?is not set: run scripts/install.sh first}
exec "$PYTHON" -I -B -m velro_gate "$@"
