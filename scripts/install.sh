#!/usr/bin/env bash
# Installs velro-gate for one job: a virtual environment from the hash-locked list, outside the workspace and this folder.
#
# Usage: scripts/install.sh [run|sandbox|cluster|auto]      (default: run; sandbox adds the embedded service, cluster adds Dask;
#                                                           auto: what the job needs)
#   VELRO_MODE, GITHUB_EVENT_NAME, VELRO_SELFTEST_MINUTES   of the job, for auto: a selftest measures the embedded service
#   VELRO_CLUSTER                likewise: whether a cluster sends the load
#   RUNNER_TEMP                  where the environment is made; GitHub's runner sets it and empties it between jobs
#   VELRO_ENVIRONMENT_DIRECTORY  keep it here instead, so that the next job starts at once
#   VELRO_PYTHON                 the Python to use (default: the newest on the PATH)
#   GITHUB_OUTPUT                gets a line python=PATH; without it the path is printed
#
# The folder's name is a digest of all that goes into it, and it gets its name when it is whole. So several jobs may make one
# at the same time, and another version of velro-gate makes another. What cleans a disk may take single files out of it: so it
# holds a list of all its files with their sizes, and one that does not agree with its list is made again. Those that no job
# has used for a month are removed. The package is copied into it, compiled there, and never run from this folder.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
list=${1:-run}
if [[ $list == auto ]]; then
    list=run
    [[ -z ${VELRO_CLUSTER:-} ]] || list=cluster
    case ${VELRO_MODE:-auto}/${GITHUB_EVENT_NAME:-}/${VELRO_SELFTEST_MINUTES:-} in
        */0) ;;
        selftest/* | auto/schedule/*) list=sandbox ;;
    esac
fi
lock=$root/requirements/$list.txt
# shellcheck source=scripts/interpreters.sh
source "$root/scripts/interpreters.sh"

# A workflow command ends with its line, and % begins an escape in it.
die() {
    local text=$*
    text=${text//'%'/%25}
    text=${text//$'\r'/%0D}
    text=${text//$'\n'/%0A}
    printf '::error title=velro-gate cannot be installed::%s\n' "$text"
    exit 2
}

choose_python() {
    local result=0
    if [[ -n ${VELRO_PYTHON:-} ]]; then
        python=$VELRO_PYTHON
        runs "$python" || die "The input python names $python, which does not run or is older than 3.11" \
            "($("$python" --version 2>&1 | head -n 1 || true)). Name a Python 3.11 or newer, or leave the input out."
        return
    fi
    python=$(newest_python) || result=$?
    [[ $result -ne 2 ]] || die "Python 3.11 or newer is needed; the newest on this runner's PATH is" \
        "$(python3 --version 2>/dev/null || echo none). Install one on the runner, or name one by the input python."
    [[ $result -eq 0 ]] || die "$python cannot make virtual environments. Install its venv module on the runner" \
        "(Debian: $(venv_package "$python")) or uv."
}

[[ -f $lock ]] || die "There is no list of packages '$list'; choose run, sandbox or cluster."
place=${VELRO_ENVIRONMENT_DIRECTORY:-${RUNNER_TEMP:-}}
[[ -n $place ]] || die "RUNNER_TEMP is not set. GitHub's runner sets it; elsewhere set it to an empty folder."
mkdir -p "$place" || die "The folder $place cannot be made or written. Name another one by the input environment-directory."

calm_installers
choose_python
# The interpreter itself and not a shim, whose response may change from one folder to the next.
described=$("$python" -I -c 'import os, sys; print(os.path.realpath(sys.executable), sys.version.split()[0], sep="\n")')
{ read -r python && read -r version; } <<<"$described"

ours() { (cd "$root" && find velro_gate scenarios -type f ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort --zero-terminated); }
digest_of_ours() { ours | (cd "$root" && xargs --null sha256sum); }
key=$({ cat "$lock" "$root/scripts/install.sh" "$root/scripts/interpreters.sh" && printf '%s\n' "$described" && digest_of_ours; } |
    sha256sum)
venv=$place/velro-gate-$list-${key:0:16}

# Compiled files are left out: an interpreter writes them when it likes.
files_of() { (cd "$1" && find . \( -name __pycache__ -o -name .files \) -prune -o \( -type f -o -type l \) -printf '%P %y %s\n' | LC_ALL=C sort); }
is_whole() { [[ -f $1/.files ]] && runs "$1/bin/python" && cmp --silent "$1/.files" <(files_of "$1"); }

prune_old() {
    local folder
    find "$place" -mindepth 1 -maxdepth 1 -type d -name 'velro-gate-*' ! -path "$venv" -user "$(id -u)" \
        \( -name 'velro-gate-*.??????' -mtime +1 -o -mtime +30 \) -print 2>/dev/null | while IFS= read -r folder; do
        [[ ${folder##*/} =~ ^velro-gate-(run|sandbox|cluster)-[0-9a-f]{16}(\.[A-Za-z0-9]{6})?$ ]] || continue
        rm -rf "$folder" && echo "velro-gate: removed ${folder##*/}, which no job has used lately"
    done
}

if is_whole "$venv"; then
    echo "velro-gate: Python $version ($python), packages of requirements/$list.txt are in place"
else
    echo "velro-gate: Python $version ($python), installing requirements/$list.txt"
    [[ ! -e $venv ]] || echo "velro-gate: files of $venv are missing or changed, so it is made again"
    SECONDS=0
    making=$(mktemp -d "$venv.XXXXXX") || die "The folder $place cannot be written."
    trap 'rm -rf "$making"' EXIT
    install_locked "$python" "$making" "$lock" ||
        die "The packages of requirements/$list.txt could not be installed; the lines above say why. The runner has to reach a" \
            "package registry (PIP_INDEX_URL, or UV_DEFAULT_INDEX for uv, name one)."
    packages=$(packages_of "$making")
    ours | tar --create --directory "$root" --null --files-from - | tar --extract --directory "$packages"
    # As in a built package: what is shipped lies inside.
    mv "$packages/scenarios" "$packages/velro_gate/shipped"
    "$making/bin/python" -I -m compileall -q "$packages/velro_gate"
    files_of "$making" >"$making/.files"
    # Whoever comes first wins: both are the same. A folder of that name that is not whole is what a cleaner or a full disk has left.
    mv -T "$making" "$venv" 2>/dev/null || is_whole "$venv" || { rm -rf "$venv" && mv -T "$making" "$venv"; } ||
        die "The folder $venv cannot be made."
    echo "velro-gate: installed in $SECONDS s"
fi
# Its age is since when no job has used it.
touch "$venv" 2>/dev/null || true
# Whoever may only read the folder leaves it as it is.
[[ -z ${VELRO_ENVIRONMENT_DIRECTORY:-} ]] || prune_old || true

if [[ -n ${GITHUB_OUTPUT:-} ]]; then
    echo "python=$venv/bin/python" >>"$GITHUB_OUTPUT"
else
    echo "$venv/bin/python"
fi
