#!/usr/bin/env bash
# Replaces series hour by hour (pods that come and go), for three hours of data sent one hour after the other, and shows
# what the server holds after each: with series that stopped released, neither series nor memory rise after
# the first hour. A flush is what releases; the server does one when its own clock leaves a two-hour window, and here, where
# hours pass in seconds, we ask for one.
#
#   SIDEBENCH=... bench/churn.sh
source "$(dirname "$0")/common.sh"
HOSTS=${HOSTS:-1000}          # hosts of the synthetic fleet
SERIES=${SERIES:-1000}        # series of each
INTERVAL=${INTERVAL:-60s}     # time between scrapes
CHURN=${CHURN:-1.0}           # fraction of the series replaced per hour
HOURS=${HOURS:-3}             # of data
LIMIT=${LIMIT:-}              # --memory-limit of the server (default: its own default)
GROWTH_MAX=${GROWTH_MAX:-1.25} # fail if memory grows by more than this factor after the first hour

# The last hour ends so long ago that all its series have stopped, as those of the hours before.
start_s=$(($(date +%s) - HOURS * 3600 - 900))
start_server ${LIMIT:+--memory-limit "$LIMIT"}
first_mb=
failed=0
for ((hour = 0; hour < HOURS; hour++)); do
  # Each hour is a fleet of its own seed: as if all its pods had been replaced at once, on top of the churn within it.
  "$SIDEBENCH" gen --hosts "$HOSTS" --series-per-host "$SERIES" --interval "$INTERVAL" --churn "$CHURN" \
    --seed "$((hour + 1))" --start "$((start_s + hour * 3600))" --duration 3540s --out "$work/bodies" >/dev/null
  "$SIDEBENCH" ingest --file "$work/bodies" --url "$base/api/v1/write" --pid "$pid" --settle 2s >"$work/hour.txt"
  if ! curl --silent --show-error --fail-with-body --max-time 300 -X POST "$base/api/v1/admin/tsdb/compact" >"$work/compact.txt"; then
    echo "FAILED: the compaction: $(cat "$work/compact.txt")"
    exit 1
  fi
  mb=$(rss_mb)
  echo "hour $((hour + 1)): $(grep -F 'samples accepted' "$work/hour.txt" | tr -d '|')," \
    "head $(metric kymo_tsdb_head_series) series in $(($(metric kymo_tsdb_head_bytes) >> 20)) MiB," \
    "created $(metric kymo_tsdb_head_series_created_total), released $(metric kymo_tsdb_head_series_removed_total)," \
    "RSS $mb MB (peak $(peak_mb))"
  if [[ -z $first_mb ]]; then
    first_mb=$mb
  elif awk -v a="$mb" -v b="$first_mb" -v m="$GROWTH_MAX" 'BEGIN { exit !(a > b * m) }'; then
    echo "FAILED: memory grew from $first_mb to $mb MB"
    failed=1
  fi
done
exit "$failed"
