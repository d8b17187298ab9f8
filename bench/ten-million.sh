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
rate=()
((RATE == 0)) || rate=(--rate "$RATE")
"$SIDEBENCH" ingest --file "$work/bodies" --url "$base/api/v1/write" --pid "$pid" --data-dir "$work/data" \
  --connections "$CONNECTIONS" --settle 5s "${rate[@]}" --give-up 120s --json "$work/ingest.json" >"$work/ingest.txt" &
ingest=$!
began_s=$(date +%s)
hosts=0
while kill -0 "$ingest" 2>/dev/null; do
  # One host's series of the last two minutes; another host each time, so that no cache has the answer.
  if ((hosts == 0)); then
    curl --silent --get "$base/api/v1/label/instance/values" |
      grep -oE '"[^"]+:[0-9]+"' | tr -d '"' >"$work/instances.txt" || true
    (($(date +%s) - began_s < INTERVAL_S + 5)) || hosts=$(wc -l <"$work/instances.txt")
  else
    instance=$(sed -n "$(((RANDOM * 32768 + RANDOM) % hosts + 1))p" "$work/instances.txt")
    curl --silent --output "$work/answer.json" --write-out '%{time_total} %{http_code} ' --get "$base/api/v1/query" \
      --data-urlencode "query=count(rate({instance=\"$instance\"}[2m]))" \
      --data-urlencode "time=$((start_s + $(date +%s) - began_s))" >>"$work/latency.txt"
    counted=$(sed -nE 's/.*"value":\[[^,]*,"([^"]*)".*/\1/p' "$work/answer.json")
    echo "${counted:-0}" >>"$work/latency.txt"
  fi
  echo "$(($(date +%s) - began_s)) $(cpu_s) $(cpu_s "$ingest") $(rss_mb) $(metric kymo_tsdb_samples_appended_total)" \
    >>"$work/split.txt" || true
  sleep 1
done
wait "$ingest"
cat "$work/ingest.txt"
awk 'NR % 15 == 1 { printf "after %3d s: server %.1f CPU-s, client %.1f CPU-s, RSS %d MB, %.1f M samples\n", $1, $2, $3, $4, $5 / 1e6 }' \
  "$work/split.txt"
echo "series in the head $(metric kymo_tsdb_head_series), their memory $(($(metric kymo_tsdb_head_bytes) >> 20)) MiB," \
  "samples refused $(metric kymo_tsdb_samples_rejected_total)," \
  "flushes $(metric kymo_tsdb_flush_duration_seconds_count), journal $(($(metric kymo_tsdb_wal_bytes) >> 20)) MiB"
echo "RSS $(rss_mb) MB, peak $(peak_mb) MB"
sort -n "$work/latency.txt" | awk '
  { t[NR] = $1 * 1000; if ($2 != 200) bad++; if ($3 == 0) empty++ }
  END { if (NR) printf "query about one host: %d times, p50 %.1f ms, p99 %.1f ms, max %.1f ms, %d failed, %d empty\n",
        NR, t[int((NR + 1) / 2)], t[int((NR - 1) * 0.99) + 1], t[NR], bad, empty }'
