#!/usr/bin/env bash
# Installs what the tests need and this machine lacks: make and a C compiler (for the race detector), node, npm, Chromium and its engine alone, nginx, Caddy, Redis and curl,
# and e2e's npm packages. What is there already costs nothing.
set -euo pipefail
cd "$(dirname "$0")"

least_node=20

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Whoever names a browser of their own gets all tests run in that.
named_chromium() {
  [[ -n ${CHROMIUM:-} ]] || return 1
  [[ -x $CHROMIUM ]] || die "CHROMIUM names $CHROMIUM, which cannot be run"
}

has_chromium() {
  named_chromium || [[ -x /usr/bin/chromium || -x /usr/bin/chromium-browser || -x /usr/bin/google-chrome ]]
}

# The engine without the browser around it runs most tests, at a third of the cost.
has_engine() {
  named_chromium || [[ -x /usr/bin/chromium-headless-shell ]] || ! has apt-get
}

has_cjk_font() { has fc-list && [[ -n $(fc-list :lang=ja family) ]]; }

missing_packages() {
  has make || echo make
  has gcc || has cc || echo gcc libc6-dev
  has redis-server || echo redis-server
  has curl || echo curl
  has node || echo nodejs
  has npm || echo npm
  has_chromium || echo chromium
  has_engine || echo chromium-headless-shell
  [[ -x /usr/sbin/nginx ]] || echo nginx-light
  [[ -x /usr/bin/caddy ]] || echo caddy
}

# Debian starts the servers that it installs, now and at every boot. Ours are for the tests alone, which start them on ports of their own.
readonly policy=/usr/sbin/policy-rc.d

forbid_services() {
  [[ ! -e $policy ]] || return 0
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
}

# disable_services PACKAGE…: of those that were installed just now; a server that somebody uses here was there before.
disable_services() {
  [[ -d /run/systemd/system ]] || return 0
  local package
  for package; do
    case $package in
      nginx-light) systemctl disable --quiet nginx ;;
      caddy) systemctl disable --quiet caddy ;;
      redis-server) systemctl disable --quiet redis-server ;;
    esac
  done
}

install_packages() {
  has apt-get || die "missing: $*; there is no apt-get here: install them by the means of this system"
  [[ $(id -u) == 0 ]] || die "missing: $*; as root, run: apt-get update && apt-get install $*"
  say "installing $* with apt-get"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq </dev/null
  forbid_services
  apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
  disable_services "$@"
}

check_node() {
  local version
  version=$(node --version) # v20.1.2
  version=${version#v}
  ((${version%%.*} >= least_node)) || die "node is $version, want $least_node or newer (https://nodejs.org/en/download)"
}

# npm leaves a copy of the lock file in node_modules: older than the lock means that the packages are not those of the lock.
install_npm_packages() {
  if [[ node_modules/.package-lock.json -nt package-lock.json ]]; then return; fi
  say "installing e2e's npm packages"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null
  touch node_modules/.package-lock.json
}

has go || die "go is missing: install the version that go.mod names (https://go.dev/dl)"
missing=$(missing_packages)
read -r -d '' -a packages <<<"$missing" || true # it reads to the end
if ((${#packages[@]} > 0)); then
  # The pictures of the Japanese and Chinese pages show boxes without it; no test depends on it.
  has_cjk_font || packages+=(fonts-noto-cjk)
  install_packages "${packages[@]}"
fi
check_node
install_npm_packages
