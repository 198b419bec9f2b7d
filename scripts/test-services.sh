#!/usr/bin/env bash
# Makes sure that the servers and the browser which the tests start are on this machine: installs them where that is allowed.
#
# Usage: scripts/test-services.sh [redis] [postgresql] [nginx] [chromium] [prometheus] [pushgateway]      (default: all)
# Nothing is started here: each test starts its own server on a free port and stops it again.
set -euo pipefail

say() { printf 'test-services: %s\n' "$*" >&2; }

has_redis() { command -v redis-server >/dev/null; }
# Debian keeps PostgreSQL's server programs out of the PATH.
has_postgresql() { command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
# Servers of the system are not in the PATH of every user.
has_nginx() { command -v nginx >/dev/null || [[ -x /usr/sbin/nginx ]]; }
# The browser goes by several names.
has_chromium() { command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; }
has_prometheus() { command -v promtool >/dev/null; }
has_pushgateway() { command -v prometheus-pushgateway >/dev/null; }

missing=()
[[ $# -gt 0 ]] || set -- redis postgresql nginx chromium prometheus pushgateway
for service in "$@"; do
    case $service in
        redis) has_redis || missing+=(redis-server) ;;
        postgresql) has_postgresql || missing+=(postgresql) ;;
        nginx) has_nginx || missing+=(nginx-light) ;;
        chromium) has_chromium || missing+=(chromium) ;;
        prometheus) has_prometheus || missing+=(prometheus) ;;
        pushgateway) has_pushgateway || missing+=(prometheus-pushgateway) ;;
        *)
            say "error: unknown service '$service'; choose redis, postgresql, nginx, chromium, prometheus or pushgateway"
            exit 2
            ;;
    esac
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
    say "error: the tests need ${missing[*]}; install with: sudo apt-get install ${missing[*]}"
    exit 2
fi
say "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >&2 || {
    say "error: could not install ${missing[*]}, which the tests need"
    exit 2
}
