#!/bin/sh
# Runs every fuzz target for so many seconds (60 if not said), one after the other, and stops at the first find.
# Usage: fuzz/run-all.sh [seconds] [target...]
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -gt 0 ] && shift
toolchain=+nightly
if ! cargo +nightly --version >/dev/null 2>&1; then
    toolchain=
    export RUSTC_BOOTSTRAP=1
fi
cargo fuzz --version >/dev/null 2>&1 || {
    echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked" >&2
    exit 1
}
# The code is safe Rust: panics, hangs and memory use are what can go wrong, and they need no sanitizer.
sanitizer=${SANITIZER:-none}
targets=$*
[ -n "$targets" ] || targets=$(cargo $toolchain fuzz list)
for target in $targets; do
    echo "== $target: $seconds s"
    mkdir -p "corpus/$target" "seeds/$target"
    cargo $toolchain fuzz run --sanitizer "$sanitizer" "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
done
echo "every target ran for $seconds s without a find"
