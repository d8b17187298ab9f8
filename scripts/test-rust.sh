#!/usr/bin/env bash
# Runs all tests of the workspace against fresh binaries, and ends with one line that sums them up.
# Property tests try the same cases in each run, so that the result depends on the commit alone; PROPTEST_RNG_SEED chooses others.
set -euo pipefail
cd "$(dirname "$0")/.."
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-1}"
cargo build --workspace --bins
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --workspace --lib --bins --tests --no-fail-fast 2>&1 | tee "$log" || status=$?
# What the client crate has only if it is asked for.
cargo test --package kymo-client --all-features --lib --no-fail-fast 2>&1 | tee --append "$log" || status=$?
echo "seed of property tests: $PROPTEST_RNG_SEED"
if ((status != 0)) && scripts/rerun-failed.sh "$log"; then status=0; fi
awk '/^test result: / { passed += $4; failed += $6 } END { printf "%d passed, %d failed\n", passed, failed }' "$log"
exit "$status"
