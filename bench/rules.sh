#!/usr/bin/env bash
# What rules cost, and whether they are late: thousands of rules, half recording and half alerting, each an aggregation or a comparison of
# one host's or one pod's series, beside a Prometheus with the same series and rules. Small by default; for 10,000
# rules over a million series: HOSTS=1000 RULES=10000 INTERVAL_S=60 SAMPLES_S=60 INGEST_S=120 bench/rules.sh
#
#   SIDEBENCH=... bench/rules.sh
source "$(dirname "$0")/common.sh"
HOSTS=${HOSTS:-50}              # hosts of the synthetic fleet
SERIES=${SERIES:-1000}          # series of each
RULES=${RULES:-1000}
PER_GROUP=${PER_GROUP:-20}      # rules of a group
INTERVAL_S=${INTERVAL_S:-15}    # seconds between two evaluations of a rule
ROUNDS=${ROUNDS:-3}             # evaluations of each rule that are measured
SAMPLES_S=${SAMPLES_S:-30}      # seconds between two samples of a series
INGEST_S=${INGEST_S:-30}        # seconds that sending the samples may take
LIMIT=${LIMIT:-8GiB}            # --memory-limit of Kymo
PEER=${PEER-prometheus}         # the Prometheus beside it; empty for none
PEER_HOSTS=${PEER_HOSTS:-$HOSTS} # hosts it gets, if it does not carry as many; the rules stay as many

# One round goes by before, in one the server is measured without rules, and one is to spare.
ahead_s=$((INGEST_S + (ROUNDS + 3) * INTERVAL_S))
((ahead_s <= 540)) || { echo "servers take samples up to 10 minutes of the future: fewer ROUNDS, or a shorter INTERVAL_S" >&2; exit 1; }

# gen HOSTS: samples of the last five minutes and of all the time that the measurement takes.
gen() {
  "$SIDEBENCH" gen --hosts "$1" --series-per-host "$SERIES" --interval "${SAMPLES_S}s" --start "$(($(date +%s) - 330))" \
    --duration "$((330 + ahead_s))s" --out "$work/bodies"
}

# values LABEL JOB: the values of a label.
values() {
  curl --silent --fail --get "$base/api/v1/label/$1/values" --data-urlencode "match[]=up{job=\"$2\"}" |
    sed -E 's/.*"data":\[(.*)\].*/\1/' | tr ',' '\n' | tr -d '"'
}

# One line of each file for each host and pod; rules take them in turns.
write_rules() {
  awk -v rules="$RULES" -v per_group="$PER_GROUP" -v interval="$INTERVAL_S" '
    FILENAME == ARGV[1] { host[hosts++] = $0; next }
    { pod[pods++] = $0 }
    function record(name, expr) { printf "  - record: %s\n    expr: %s\n", name, expr }
    function alert(name, expr) {
      printf "  - alert: %s\n    expr: %s\n    for: 1m\n    labels: {severity: page}\n", name, expr
      printf "    annotations: {summary: \"{{ $labels.instance }}{{ $labels.pod }}: {{ $value }}\"}\n"
    }
    END {
      print "groups:"
      for (n = 0; n < rules; n++) {
        if (n % per_group == 0) printf "- name: g%d\n  interval: %ds\n  rules:\n", n / per_group, interval
        turn = int(n / 8)
        h = "instance=\"" host[turn % hosts] "\""
        p = "pod=\"" pod[turn % pods] "\""
        if (n % 8 == 0) record("instance_mode:node_cpu_seconds:rate5m", "sum by (instance, mode) (rate(node_cpu_seconds_total{" h "}[5m]))")
        if (n % 8 == 1) alert("DiskFills", "node_filesystem_avail_bytes{" h "} / node_filesystem_size_bytes{" h "} < 0.3")
        if (n % 8 == 2) record("pod_route:http_requests:rate5m", "sum by (pod, route) (rate(http_requests_total{" p "}[5m]))")
        if (n % 8 == 3) alert("Errors", "sum by (pod) (rate(http_requests_total{" p ",code=\"500\"}[5m])) / sum by (pod) (rate(http_requests_total{" p "}[5m])) > 0.5")
        if (n % 8 == 4) record("pod:http_request_duration_seconds:p99", "histogram_quantile(0.99, sum by (pod, le) (rate(http_request_duration_seconds_bucket{" p "}[5m])))")
        if (n % 8 == 5) alert("Loaded", "node_load5{" h "} > 4")
        if (n % 8 == 6) record("instance:node_network_receive_bytes:rate5m", "sum by (instance) (rate(node_network_receive_bytes_total{" h "}[5m]))")
        if (n % 8 == 7) alert("Down", "up{" h "} == 0")
      }
    }' "$work/hosts.txt" "$work/pods.txt" >"$work/rules.yml"
}

# figure NAME AGGREGATION: the sum or the largest of a metric of the server about its rules.
figure() {
  curl --silent --fail "$base/metrics" |
    awk -v name="$1" -v max="${2:-}" '
      { split($1, n, "{") } n[1] == name { sum += $NF; if ($NF > most) most = $NF }
      END { printf "%.9g\n", max ? most : sum }'
}

# evaluate NAME PREFIX DATA: rules are loaded into the server that runs, a round goes by, then rounds are measured.
evaluate() {
  local name=$1 prefix=$2 begin idle
  "$SIDEBENCH" ingest --file "$work/bodies" --url "$base/api/v1/write" --pid "$pid" --data-dir "$work/$3" \
    --settle 2s --json "$work/$name.ingest.json" >"$work/$name.ingest.txt"
  values instance node >"$work/hosts.txt"
  values pod api >"$work/pods.txt"
  [[ -s $work/hosts.txt && -s $work/pods.txt ]] || { echo "$name has no series" >&2; exit 1; }
  begin=$(cpu_s)
  sleep "$INTERVAL_S"
  idle=$(awk -v begin="$begin" -v end="$(cpu_s)" 'BEGIN { print end - begin }')
  write_rules
  printf 'scrape_configs: []\nrule_files: [%s/rules.yml]\n' "$work" >"$work/$name.yml"
  kill -HUP "$pid"
  sleep $((INTERVAL_S + INTERVAL_S / 2))
  local before missed failed
  begin=$(cpu_s)
  before=$(figure "${prefix}_rule_evaluations_total")
  sleep $((ROUNDS * INTERVAL_S))
  local cpu
  cpu=$(awk -v begin="$begin" -v end="$(cpu_s)" -v idle="$idle" -v rounds="$ROUNDS" 'BEGIN { printf "%.3f", (end - begin) / rounds - idle }')
  missed=$(figure "${prefix}_rule_group_iterations_missed_total")
  failed=$(figure "${prefix}_rule_evaluation_failures_total")
  echo "$name: $(grep -c . "$work/hosts.txt") hosts of $SERIES series, $RULES rules every ${INTERVAL_S} s:" \
    "$cpu CPU-seconds a round (without rules $idle in that time), $(($(figure "${prefix}_rule_evaluations_total") - before)) evaluations," \
    "$missed missed, $failed failed, longest group $(figure "${prefix}_rule_group_last_duration_seconds" max) s," \
    "$(figure "${prefix}_rule_group_last_evaluation_samples") samples of the last round, RSS $(rss_mb) MB, peak $(peak_mb) MB"
}

gen "$HOSTS"
printf 'scrape_configs: []\n' >"$work/kymo.yml"
start_server --memory-limit "$LIMIT"
evaluate kymo kymo data
curl --silent --fail "$base/metrics" | awk -v interval="$INTERVAL_S" '
  /^kymo_rule_group_evaluation_lag_seconds_bucket/ { match($1, /le="[^"]*"/); le[++n] = substr($1, RSTART + 4, RLENGTH - 5); below[n] = $NF }
  /^kymo_rule_group_evaluation_lag_seconds_sum/ { sum = $NF }
  /^kymo_rule_group_evaluation_lag_seconds_count/ { count = $NF }
  END {
    if (!count) exit 1
    for (at = 1; at <= n && below[at] < 0.99 * count; at++);
    for (all = 1; all <= n && below[all] < count; all++);
    printf "kymo: groups began %.1f ms late on average, 99 %% of them at most %s s, all at most %s s; the interval is %d s\n", sum / count * 1000, le[at], le[all], interval
  }'
stop_server
[[ -n $PEER ]] || exit 0
command -v "$PEER" >/dev/null || { echo "$PEER is not installed" >&2; exit 0; }

gen "$PEER_HOSTS"
port=$((30000 + RANDOM % 10000))
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
base=http://127.0.0.1:$port
printf 'scrape_configs: []\n' >"$work/prometheus.yml"
"$PEER" --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/prometheus" --web.listen-address="127.0.0.1:$port" \
  --web.enable-remote-write-receiver >>"$work/prometheus.log" 2>&1 &
pid=$!
until curl --silent --fail --max-time 120 --output /dev/null "$base/-/ready"; do
  kill -0 "$pid" 2>/dev/null || { echo "$PEER ended; its log:" >&2; tail -n 5 "$work/prometheus.log" >&2; exit 1; }
  sleep 0.1
done
evaluate prometheus prometheus prometheus
