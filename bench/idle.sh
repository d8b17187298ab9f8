#!/usr/bin/env bash
# A million series with a few samples each, and then nothing: how much memory does the server hold, and how much of that
# does its own account of the head explain?
#
#   SIDEBENCH=... bench/idle.sh
source "$(dirname "$0")/common.sh"
HOSTS=${HOSTS:-1000}          # hosts of the synthetic fleet
SERIES=${SERIES:-1000}        # series of each
DURATION_S=${DURATION_S:-45}  # seconds of data; with scrapes every 15 s, 45 are 4 of them
SETTLE=${SETTLE:-10s}         # time between the last ack and the measurement
RSS_MB_MAX=${RSS_MB_MAX:-500} # fail if more is resident

start_s=$(($(date +%s) - DURATION_S - 60))
"$SIDEBENCH" gen --hosts "$HOSTS" --series-per-host "$SERIES" --start "$start_s" --duration "${DURATION_S}s" \
  --out "$work/bodies" >/dev/null
start_server
empty_mb=$(rss_mb)
"$SIDEBENCH" ingest --file "$work/bodies" --url "$base/api/v1/write" --settle "$SETTLE" --pid "$pid" >"$work/ingest.txt"
mb=$(rss_mb) series=$(metric kymo_tsdb_head_series) head=$(metric kymo_tsdb_head_bytes)
echo "$series series: RSS $mb MB ($empty_mb when empty, peak $(peak_mb)), $((head >> 20)) MiB by the head's account," \
  "$((head / series)) bytes a series; RSS that came with them: $(((mb - empty_mb) * 1048576 / series)) bytes a series"
if ((mb > RSS_MB_MAX)); then
  echo "FAILED: more than $RSS_MB_MAX MB"
  exit 1
fi
