#!/usr/bin/env bash
# What `sum by (job) (rate(x[5m]))` over 100,000 series costs: an hour at steps of 15 s, in processor time of the server, and whether that
# grows with the window.
#
#   SIDEBENCH=... bench/rate.sh
source "$(dirname "$0")/common.sh"
HOSTS=${HOSTS:-100}      # hosts of the synthetic fleet
SERIES=${SERIES:-1000}   # series of each
TIMES=${TIMES:-10}       # how often each query is asked

# Two hours, so that a window of an hour is full at each step.
start_s=$(($(date +%s) - 7260))
"$SIDEBENCH" gen --hosts "$HOSTS" --series-per-host "$SERIES" --interval 15s --start "$start_s" --duration 7185s --out "$work/bodies"
start_server --disable-results-cache
"$SIDEBENCH" ingest --file "$work/bodies" --url "$base/api/v1/write" --pid "$pid" --data-dir "$work/data" >"$work/ingest.txt"
for window in 5m 1h; do
  begin=$(cpu_s)
  for ((i = 0; i < TIMES; i++)); do
    curl --silent --fail --output "$work/answer.json" --get "$base/api/v1/query_range" \
      --data-urlencode "query=sum by (job) (rate({__name__=~\".+\"}[$window]))" \
      --data-urlencode "start=$((start_s + 3600))" --data-urlencode "end=$((start_s + 7200))" --data-urlencode step=15
  done
  series=$(grep -o '"metric"' "$work/answer.json" | wc -l)
  awk -v begin="$begin" -v end="$(cpu_s)" -v times="$TIMES" -v window="$window" -v series="$series" \
    'BEGIN { printf "rate over %s: %.2f CPU-seconds a query, %d series in the answer\n", window, (end - begin) / times, series }'
done
