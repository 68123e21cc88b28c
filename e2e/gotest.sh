#!/usr/bin/env bash
# Runs `go test -race` on the given packages: a line for each package as it ends, and everything about those that failed. Where CI=true a
# skipped test is a failure: on a machine that has all that the tests need, a skip hides something. (The seeds of fuzz targets may skip:
# so a target says that an input is none for it.)
set -euo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT

status=0
# Most tests wait for servers and for time to pass, so more of them run at once than there are processors. go vet is "make lint"'s.
go test -race -vet=off -parallel "$((3 * $(getconf _NPROCESSORS_ONLN)))" -v "$@" 2>&1 | tee "$log" | grep --line-buffered -E '^(ok|FAIL|panic:|WARNING: DATA RACE)|^ *--- (FAIL|SKIP)' || status=${PIPESTATUS[0]}

if ((status != 0)); then
  printf '\n---- what the failed packages said ----\n'
  # Each package speaks without interruption and closes with its own line.
  awk '/^ *(=== (RUN|PAUSE|CONT|NAME)|--- PASS)/ { next } { said = said $0 "\n" }
    /^(ok|\?) / || /\[no test files\]$/ { said = "" } /^FAIL\t/ { printf "%s", said; said = "" } END { printf "%s", said }' "$log"
  exit "$status"
fi
if [[ ${CI:-} == true ]] && grep -vE -- '--- SKIP: Fuzz[^ ]*/' "$log" | grep -E -B 2 '^ *--- SKIP'; then
  printf '\nFAIL: tests were skipped, and CI=true\n'
  exit 1
fi
if ! grep -qE '^ok ' "$log"; then
  printf 'FAIL: no package has tests\n'
  exit 1
fi
