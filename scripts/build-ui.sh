#!/usr/bin/env bash
# Builds the web UI into web/dist, unless that is newer than everything it is made from.
set -euo pipefail
cd "$(dirname "$0")/../web"
if ! command -v npm >/dev/null; then
  echo "Node is not installed: Kymo is built without its UI (install Node 20 or newer and run this again)" >&2
  exit 0
fi
if [[ ! -d node_modules || package-lock.json -nt node_modules/.package-lock.json ]]; then
  npm ci --no-fund --no-audit --loglevel=error
fi
if [[ -f dist/index.html ]]; then
  newer=$(find . -path ./node_modules -prune -o -path ./dist -prune -o -path ./e2e -prune -o -type f -newer dist/index.html -print -quit)
  [[ -n $newer ]] || exit 0
fi
npm run --silent build
