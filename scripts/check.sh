#!/usr/bin/env bash
# Runs every check that needs no running service; all of them, also after one has failed, and says which did.
#
# Usage: scripts/check.sh      (VENV: the folder with the tools, default .venv)
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
bin=${VENV:-.venv}/bin
failed=()

check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        printf 'check: %-14s ok\n' "$name"
    else
        printf '%s\ncheck: %-14s FAILED: %s\n' "$output" "$name" "$*" >&2
        failed+=("$name")
    fi
}

shell_files() { printf '%s\n' .ci/run scripts/*.sh; }
workflows() { compgen -G '.github/workflows/*.yml'; }

# The exported schemas are what the code says today; a change shows up as a difference in the commit.
schemas_current() {
    local file
    file=$(mktemp)
    "$bin/velro-gate" schema >"$file" && diff -u scenarios/velro-prd.schema.json "$file"
    local result=$?
    rm -f "$file"
    return "$result"
}

mapfile -t shell < <(shell_files)
mapfile -t yaml < <(workflows)

check lint "$bin/ruff" check .
check format "$bin/ruff" format --check .
check types "$bin/mypy"
check contracts "$bin/lint-imports" --no-cache
check shell "$bin/shellcheck" --external-sources "${shell[@]}"
check actionlint "$bin/actionlint" -shellcheck "$bin/shellcheck" "${yaml[@]}"
check zizmor "$bin/zizmor" --offline --quiet --strict-collection --persona=pedantic .github action.yml
check workflows "$bin/check-jsonschema" --builtin-schema vendor.github-workflows "${yaml[@]}"
check action "$bin/check-jsonschema" --builtin-schema vendor.github-actions action.yml
check schema schemas_current

if [[ ${#failed[@]} -gt 0 ]]; then
    echo "check: failed: ${failed[*]}" >&2
    exit 1
fi
