#!/usr/bin/env bash
# rerun-failed.sh LOG: runs end-to-end tests that failed in a log of `cargo test` once more, each alone, and names them.
#
# They stand beside databases, browsers and other servers, which may have a bad moment; a fault of Kymo's fails twice. Fails if one does,
# if more than two had failed, or if anything else had.
set -euo pipefail
log=$1
cd "$(dirname "$0")/.."
mapfile -t targets < <(sed -n 's/^error: test failed, to rerun pass `\(.*\)`$/\1/p' "$log")
[[ ${#targets[@]} -eq 1 && ${targets[0]} == "-p kymo-tests --test it" ]] || exit 1
mapfile -t names < <(awk '/^ +Running /{ e2e = $2 == "it/main.rs" } e2e && /^test .* \.\.\. FAILED$/ { print $2 }' "$log")
((${#names[@]} >= 1 && ${#names[@]} <= 2)) || exit 1
for name in "${names[@]}"; do
  echo "failed, and is run once more: $name"
  cargo test --quiet --package kymo-tests --test it -- --exact "$name" || exit 1
  echo "PASSED ONLY WHEN RUN AGAIN: $name"
done
