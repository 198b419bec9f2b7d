#!/usr/bin/env bash
# Writes requirements/*.txt from pyproject.toml: every version pinned, every file hashed, no index named.
#
# Usage: scripts/lock.sh [--upgrade]
#   Without --upgrade the versions already locked stay as long as pyproject.toml allows them.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v uv >/dev/null; then
    uv=uv
else
    [[ -x .venv-lock/bin/uv ]] || { python3 -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet uv; }
    uv=.venv-lock/bin/uv
fi

# One version for every Python from 3.11 on (fewest), so that a figure never depends on which one happens to be there.
lock() {
    local output=$1
    shift
    "$uv" pip compile pyproject.toml "$@" --output-file "$output" --quiet \
        --universal --python-version 3.11 --fork-strategy fewest --only-binary :all: \
        --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links
    echo "lock: $output holds $(grep -c == "$output") packages"
}

lock requirements/dev.txt --extra sandbox --extra dev "$@"
# The smaller lists take their versions from the largest, so that one environment can grow from one list to the next.
lock requirements/sandbox.txt --extra sandbox --constraint requirements/dev.txt "$@"
lock requirements/cluster.txt --extra cluster --constraint requirements/dev.txt "$@"
lock requirements/run.txt --constraint requirements/dev.txt "$@"
