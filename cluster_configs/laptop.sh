#!/usr/bin/env bash
# A warm Ray head on this machine, so that the second script starts in about a second.
#   cluster_configs/laptop.sh start     then: export RAY_ADDRESS=127.0.0.1:6379
#   cluster_configs/laptop.sh stop      ends every Ray process of yours on this machine
# Run it with the virtual environment active: `ray job submit` uses the head's python.
set -euo pipefail

port="${RAY_PORT:-6379}"
dashboard_port="${RAY_DASHBOARD_PORT:-8265}"

case "${1:-}" in
  start)
    # A head that was started with SIGINT ignored (a background job of a script) would make every
    # `ray.cancel` do nothing; GNU env can put the signal back.
    default_int=()
    if env --default-signal=INT true 2>/dev/null; then default_int=(env --default-signal=INT); fi
    ${default_int[@]+"${default_int[@]}"} ray start --head \
      --port "$port" --dashboard-host 127.0.0.1 --dashboard-port "$dashboard_port" \
      --disable-usage-stats
    # Where a token file exists, Ray's head asks for it; a client with an explicit address must be
    # told so or it retries for 20 seconds and gives up.
    if [ -f "${HOME}/.ray/auth_token" ]; then echo "export RAY_AUTH_MODE=token"; fi
    echo "export RAY_ADDRESS=127.0.0.1:${port}"
    echo "export RAY_API_SERVER_ADDRESS=http://127.0.0.1:${dashboard_port}"
    ;;
  stop)
    ray stop
    ;;
  *)
    echo "usage: $0 start|stop" >&2
    exit 2
    ;;
esac
