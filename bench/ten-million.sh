#!/usr/bin/env bash
# Ten million active series, one sample each every 15 s (667,000 samples/s), for ten minutes, with the client on the same
# machine: is that rate sustained without refusing a sample, in how much memory, and how fast does a query
# about one host's series answer meanwhile? Smaller: HOSTS=100 DURATION_S=60 bench/ten-million.sh
#
#   SIDEBENCH=... bench/ten-million.sh
source "$(dirname "$0")/common.sh"
HOSTS=${HOSTS:-10000}           # hosts of the synthetic fleet
SERIES=${SERIES:-1000}          # series of each
INTERVAL_S=${INTERVAL_S:-15}    # seconds between scrapes
DURATION_S=${DURATION_S:-600}   # seconds of data
LIMIT=${LIMIT:-8GiB}            # --memory-limit of the server
RATE=${RATE:-$((HOSTS * SERIES / INTERVAL_S))}  # samples per second to send; 0: as many as the server takes
CONNECTIONS=${CONNECTIONS:-4}

start_s=$(($(date +%s) - DURATION_S - 60))
"$SIDEBENCH" gen --hosts "$HOSTS" --series-per-host "$SERIES" --interval "${INTERVAL_S}s" --start "$start_s" \
  --duration "$((DURATION_S - INTERVAL_S))s" --out "$work/bodies"
start_server --memory-limit "$LIMIT"
instance=
rate=()
((RATE == 0)) || rate=(--rate "$RATE")
"$SIDEBENCH" ingest --file "$work/bodies" --url "$base/api/v1/write" --pid "$pid" --data-dir "$work/data" \
  --connections "$CONNECTIONS" --settle 5s "${rate[@]}" --give-up 120s >"$work/ingest.txt" &
ingest=$!
while kill -0 "$ingest" 2>/dev/null; do
  # Some series of one host, at the newest time it has; the first answers are empty, and count too.
  if [[ -z $instance ]]; then
    instance=$(curl --silent --get "$base/api/v1/label/instance/values" --data-urlencode limit=1 |
      sed -nE 's/.*"data":\["([^"]*)".*/\1/p')
  else
    curl --silent --output /dev/null --write-out '%{time_total} %{http_code}\n' --get "$base/api/v1/query" \
      --data-urlencode "query=count(rate({instance=\"$instance\"}[2m]))" \
      --data-urlencode "time=$((start_s + DURATION_S / 2))" >>"$work/latency.txt"
  fi
  echo "$(cpu_s) $(cpu_s "$ingest") $(rss_mb)" >"$work/split.txt"
  sleep 1
done
wait "$ingest"
cat "$work/ingest.txt"
read -r server client _ <"$work/split.txt"
echo "series in the head $(metric kymo_tsdb_head_series), refused $(metric kymo_tsdb_samples_rejected_total)," \
  "flushes $(metric kymo_tsdb_flushes_total)"
echo "RSS $(rss_mb) MB, peak $(peak_mb) MB"
echo "CPU until the end: server $server s, client $client s"
sort -n "$work/latency.txt" | awk '
  { t[NR] = $1 * 1000; if ($2 != 200) bad++ }
  END { if (NR) printf "query about %s: %d times, p50 %.1f ms, p99 %.1f ms, max %.1f ms, %d failed\n", "one host",
        NR, t[int((NR + 1) / 2)], t[int((NR - 1) * 0.99) + 1], t[NR], bad }'
