#!/usr/bin/env bash
# Runs `go test -race` on the given packages: a line for each package as it ends, and at the end what the tests that failed said. Where
# CI=true a skipped test is a failure: on a machine that has all that the tests need, a skip hides something. (The seeds of fuzz targets
# may skip: so a target says that an input is none for it.)
#
# The tests named TestFleet… hold a dozen processes to the clock. They come last, with the machine to themselves and without the race
# detector: it would sit in the test alone, not in the program that it starts, and take what the processes need.
#
# A shared machine may still be taken away for seconds in the middle of a test. So what failed runs again, alone, twice at most, and must
# pass then; every run is in the summary. There is no second try after a data race or a panic, nor when more than a handful failed: that
# is not the machine.
set -euo pipefail

fleet='^TestFleet'
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# run NAME PACKAGES FLAG…: the events are left in $scratch/NAME. Of what a failed test said its first lines are printed.
run() {
  local events=$scratch/$1 packages=$2
  shift 2
  go tool gotestsum --format pkgname --format-icons text --format-hide-empty-pkg --no-color --jsonfile "$events" \
    --rerun-fails=2 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race --rerun-fails-max-failures 6 --packages "$packages" \
    -- -vet=off "$@" 2>&1 |
    awk '/^=== (FAIL|SKIP): / { said = 0; inside = 1 } /^(=== [A-Z][a-z]+$|DONE )/ { inside = 0 }
      !inside || ++said <= 60 { print substr($0, 1, 600) } inside && said == 61 { print "    (and more)" } { fflush() }'
}

# Most tests wait for servers and for time to pass, so more of them run at once than there are processors. go vet is "make lint"'s.
run all "$*" -race -parallel "$((3 * $(getconf _NPROCESSORS_ONLN)))" -skip "$fleet"

tests=$(go list -f '{{$p := .}}{{range .TestGoFiles}}{{$p.Dir}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$p.Dir}}/{{.}}{{"\n"}}{{end}}' "$@")
mapfile -t with_fleet < <(xargs -r grep -l "^func ${fleet#^}" <<<"$tests" | xargs -rn 1 dirname | sort -u)
if ((${#with_fleet[@]} > 0)); then
  echo "-- processes against the clock"
  run fleet "${with_fleet[*]}" -run "$fleet"
fi

if [[ ${CI:-} == true ]] && cat "$scratch"/* | grep '"Action":"skip"' | grep -E '"Test":"[^"]+"' | grep -vE '"Test":"Fuzz[^"]*/'; then
  printf '\nFAIL: tests were skipped, and CI=true\n'
  exit 1
fi
if ! grep -q '"Action":"pass"' "$scratch"/all; then
  printf 'FAIL: no package has tests\n'
  exit 1
fi
