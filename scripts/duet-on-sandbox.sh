#!/usr/bin/env bash
# Tries a duet on the embedded service: the head build's authorization step takes 20 % longer than the base build's.
#
# Usage: scripts/duet-on-sandbox.sh [OPTION...]      (VENV: the folder with the command, default .venv; options go to velro-gate duet)
#        SLOW=authorization_check=1.0 tries one in which nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/${VENV:-.venv}/bin
slow=${SLOW:-authorization_check=1.2}

# One secret for every start, so that one key is good for all of them.
VELRO_SANDBOX_SECRET=$("$bin/python" -c 'import secrets; print(secrets.token_hex(32))')
export VELRO_SANDBOX_SECRET
SUPABASE_SERVICE_KEY=$("$bin/python" -c 'import os; from velro_gate.sandbox.service.tokens import issue_key; print(issue_key(os.environ["VELRO_SANDBOX_SECRET"]))')
export SUPABASE_SERVICE_KEY

# The port differs from start to start, and so do the simulated delays that are drawn from it.
serve="exec '$bin/velro-gate' sandbox --port \$PORT --seed \$PORT"
exec "$bin/velro-gate" duet scenarios/demo.yaml --base-command "$serve" --head-command "$serve --slow $slow" --block 15 --warm-up 4 "$@"
