#!/usr/bin/env bash
# Creates the project's virtual environment from a hash-locked list, or leaves it alone when it is current.
#
# Usage: scripts/setup-venv.sh [run|sandbox|dev]      (default: dev; each list contains the one before it)
#   VENV    the folder to create (default: .venv next to this project's files)
#   PYTHON  the interpreter to use (default: the newest of python3.13, python3.12, python3.11, python3 that runs)
#
# The package is put on the path by a .pth file and a small console script: no build tool is fetched, and what is
# edited is what runs.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd -P)
list=${1:-dev}
venv=${VENV:-$root/.venv}
lock=$root/requirements/$list.txt
# shellcheck source=scripts/interpreters.sh
source "$root/scripts/interpreters.sh"

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
    printf 'setup: error: %s\n' "$*" >&2
    exit 2
}

[[ -f $lock ]] || die "there is no list '$list'; choose run, sandbox or dev"

# What an environment was made from: the list, and this place and recipe.
stamp_of() { { cat "$root/requirements/$1.txt" "$0" "$root/scripts/interpreters.sh"; printf '%s' "$root"; } | cksum; }

same_version() { [[ $("$venv/bin/python" --version 2>/dev/null) == $("$1" --version 2>/dev/null) ]]; }

is_current() {
    local larger
    # Another interpreter was asked for by name: only the same version will do.
    [[ -z ${PYTHON:-} ]] || same_version "$PYTHON" || return 1
    for larger in run sandbox dev; do
        # A larger list serves a smaller wish.
        [[ $larger == "$list" ]] && local reached=yes
        [[ ${reached:-no} == yes && -f $venv/.stamp-$larger ]] || continue
        [[ $(<"$venv/.stamp-$larger") == "$(stamp_of "$larger")" ]] && "$venv/bin/python" -I -c '' 2>/dev/null && return 0
    done
    return 1
}

find_python() {
    local found result=0
    if [[ -n ${PYTHON:-} ]]; then
        runs "$PYTHON" || die "PYTHON=$PYTHON does not run or is older than 3.11"
        printf '%s' "$PYTHON"
        return
    fi
    found=$(newest_python) || result=$?
    [[ $result -ne 2 ]] ||
        die "Python 3.11 or newer is needed, found $(python3 --version 2>/dev/null || echo none); install it or set PYTHON"
    [[ $result -eq 0 ]] || install_venv_module "$found"
    printf '%s' "$found"
}

# Debian ships 'venv' as a package of its own.
install_venv_module() {
    local name
    name=$(venv_package "$1")
    if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
        die "$1 cannot make virtual environments; install its venv module (Debian: $name) or uv"
    fi
    say "installing $name"
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$name"; } >&2 ||
        die "could not install $name, which $1 needs to make virtual environments"
}

link_script() {
    # The first two lines are shell to sh and a string to Python: a '#!' line cannot hold a long path or a blank.
    cat >"$venv/bin/velro-gate" <<SCRIPT
#!/bin/sh
'''exec' "$venv/bin/python" -I "\$0" "\$@"
' '''
import sys

from velro_gate.cli import main

if __name__ == "__main__":
    sys.exit(main())
SCRIPT
    chmod +x "$venv/bin/velro-gate"
}

is_current && exit 0

python=$(find_python)
say "$("$python" --version 2>&1), installing requirements/$list.txt into ${venv#"$root"/}"
# Without a stamp the folder is the rest of an attempt that was cut off, or somebody else's.
if ! compgen -G "$venv/.stamp-*" >/dev/null || ! same_version "$python"; then
    rm -rf "$venv"
fi
rm -f "$venv"/.stamp-*
install_locked "$python" "$venv" "$lock" || die "the packages could not be installed; the lines above say why"
printf '%s\n' "$root" >"$(packages_of "$venv")/velro_gate.pth"
link_script
stamp_of "$list" >"$venv/.stamp-$list"
say "done"
