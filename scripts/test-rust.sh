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
awk '/^test result: / { passed += $4; failed += $6 } END { printf "%d passed, %d failed (seed of property tests: %s)\n", passed, failed, ENVIRON["PROPTEST_RNG_SEED"] }' "$log"
exit "$status"
