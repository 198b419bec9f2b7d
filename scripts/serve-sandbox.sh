#!/usr/bin/env bash
# Starts the embedded service, which this repository's own workflows gate, and returns once it answers.
#
# Usage: scripts/serve-sandbox.sh [PORT]      (default: 8400)
#   GITHUB_OUTPUT gets a line key=KEY, the service key. GitHub's runner stops the service at the end of the job.
set -euo pipefail

port=${1:-8400}
here=$(dirname "${BASH_SOURCE[0]}")
log=${RUNNER_TEMP:?is not set}/velro-sandbox.log

python=$(env -u GITHUB_OUTPUT "$here/install.sh" sandbox | tee /dev/stderr | tail -n 1)
nohup "$python" -I -B -m velro_gate sandbox --port "$port" >"$log" 2>&1 </dev/null &
service=$!

key_said() { sed -n 's/^export SUPABASE_SERVICE_KEY=//p' "$log"; }
SECONDS=0
until [[ -n $(key_said) ]]; do
    if ! kill -0 "$service" 2>/dev/null || [[ $SECONDS -ge 60 ]]; then
        cat "$log"
        echo "::error title=velro-gate::The sandbox did not start on port $port; its own words stand above."
        exit 1
    fi
    sleep 0.2
done
echo "::add-mask::$(key_said)"
echo "key=$(key_said)" >>"${GITHUB_OUTPUT:-/dev/null}"
echo "The sandbox answers at http://127.0.0.1:$port (process $service)."
