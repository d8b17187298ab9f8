#!/usr/bin/env bash
# Sends samples as fast as the server takes them, kills it (-9) straight after the last acknowledgement, starts it again:
# how long until it is ready, with how much memory, and is every acknowledged sample there? For the last, all samples
# are sent once more: the server counts those that it has with the same bits.
#
# Where the head was flushed meanwhile, that count says nothing about what is in blocks. So sums of all samples of each
# host are asked for before and after: one sample with another value would change them.
#
#   SIDEBENCH=... bench/kill.sh
source "$(dirname "$0")/common.sh"
HOSTS=${HOSTS:-1000}            # hosts of the synthetic fleet
SERIES=${SERIES:-1000}          # series of each
DURATION_S=${DURATION_S:-585}   # seconds of data; with scrapes every 15 s, 585 are 40 of them
READY_MS_MAX=${READY_MS_MAX:-}  # fail if it takes longer (default: no limit)
CHECK=${CHECK:-1}               # 0: do not send everything again
BODIES=${BODIES:-}              # what to send, made before with BODIES_START (default: make it)
KEEP=${KEEP:-}                  # keep a copy of the killed server's journal here

start_s=${BODIES_START:-$(($(date +%s) - DURATION_S - 60))}
if [[ -z $BODIES ]]; then
  BODIES=$work/bodies
  "$SIDEBENCH" gen --hosts "$HOSTS" --series-per-host "$SERIES" --start "$start_s" --duration "${DURATION_S}s" \
    --out "$BODIES"
fi
start_server
"$SIDEBENCH" ingest --file "$BODIES" --url "$base/api/v1/write" --settle 0s --pid "$pid"
sent=$(metric kymo_tsdb_samples_appended_total) flushes=$(metric kymo_tsdb_flush_duration_seconds_count)
before_mb=$(rss_mb) before_peak_mb=$(peak_mb) cpu_before=$(cpu_s)
echo "before: $sent samples of $(metric kymo_tsdb_head_series) series, $flushes flushes," \
  "RSS $before_mb MB (peak $before_peak_mb), $cpu_before CPU-s, journal $(du -sm "$work/data/wal" | cut -f1) MB"
kill_server
[[ -z $KEEP ]] || cp -r "$work/data/wal" "$KEEP"
start_server
echo "ready again after $ready_ms ms, $(cpu_s) CPU-s: RSS $(rss_mb) MB, peak $(peak_mb) MB"
end=$((start_s + DURATION_S + 1)) all="{__name__=~\".+\"}[$((DURATION_S + 60))s]"
found=$(query "sum(count_over_time($all))" "$end")
echo "samples found by a query: ${found:-none} of $sent"
failed=0
[[ $found == "$sent" ]] || { echo "FAILED: $((sent - ${found:-0})) samples are missing"; failed=1; }
# sums FILE: of all samples, by host.
sums() {
  curl --silent --fail --get "$base/api/v1/query" --data-urlencode "time=$end" \
    --data-urlencode "query=sum by (instance) (sum_over_time($all))" >"$1"
}
if ((CHECK)); then
  sums "$work/sums.txt"
  "$SIDEBENCH" ingest --file "$BODIES" --url "$base/api/v1/write" --settle 0s >"$work/again.txt"
  sums "$work/sums-again.txt"
  same=$(metric kymo_tsdb_samples_duplicate_total)
  echo "sent again: $same of $sent were there with the same bits (those in the head)"
  ((flushes > 0)) || [[ $same == "$sent" ]] || { echo "FAILED: $((sent - same)) samples differ"; failed=1; }
  if cmp --silent "$work/sums.txt" "$work/sums-again.txt"; then
    echo "sums of $(grep -o '"metric"' "$work/sums.txt" | wc -l) hosts are the same before and after"
  else
    echo "FAILED: sums differ once all is sent again"
    failed=1
  fi
fi
if [[ -n $READY_MS_MAX ]] && ((ready_ms > READY_MS_MAX)); then
  echo "FAILED: not ready within $READY_MS_MAX ms"
  failed=1
fi
exit "$failed"
