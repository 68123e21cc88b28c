#!/usr/bin/env bash
# Measures Vestibule beside a bare echo handler. Installs wrk if it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v wrk >/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "bench: wrk is missing; install it (Debian: apt-get install wrk) and run this again" >&2
    exit 1
  fi
  echo "installing wrk ..."
  apt-get update -qq && apt-get install -y -qq wrk >/dev/null
fi
exec go run ./bench "$@"
