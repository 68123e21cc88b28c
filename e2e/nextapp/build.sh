#!/usr/bin/env bash
# Installs and builds the application, each only when something that it is made of has changed. For the tests, which start the production
# build several times: see ../wirings/support/servers.mjs.
set -euo pipefail
cd "$(dirname "$0")"

# digest PATH…: one line that changes with any of the files' names or contents.
digest() { find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum; }

# fresh STAMP DIGEST: whether what the stamp belongs to was made of just this.
fresh() { [[ -f $1 && $(<"$1") == "$2" ]]; }

packages=$(digest package.json package-lock.json .npmrc)
if ! fresh node_modules/.stamp "$packages"; then
  echo "nextapp: installing its npm packages"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null
  echo "$packages" >node_modules/.stamp
fi

# vestibule-client comes from this repository and changes more often than everything else together.
client=$(digest ../../static/package.json ../../static/client.js ../../static/client.d.ts)
if ! fresh node_modules/vestibule-client/.stamp "$client"; then
  rm -rf node_modules/vestibule-client
  npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null
  echo "$client" >node_modules/vestibule-client/.stamp
fi

sources="$packages $client $(digest app components lib next.config.ts tsconfig.json)"
if ! fresh .next/stamp "$sources"; then
  echo "nextapp: next build (half a minute)"
  rm -f .next/stamp
  # No Vestibule is at port 9: the tests put the address in that they will use (rewritten), and a test that forgets gets no answer.
  if ! said=$(NEXT_TELEMETRY_DISABLED=1 VESTIBULE_URL=http://127.0.0.1:9 node_modules/.bin/next build 2>&1 </dev/null); then
    printf '%s\n' "$said" >&2
    exit 1
  fi
  echo "$sources" >.next/stamp
fi
