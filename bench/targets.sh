#!/usr/bin/env bash
# What it costs to scrape ten thousand targets: processor time and memory of Prometheus, vmagent and Kymo, each alone with the same simulated
# exporters; Kymo both as a server, which stores, and as an agent, which sends on to the same VictoriaMetrics as vmagent.
#
#   bench/targets.sh                                       # about eleven minutes
#   TARGETS=500 CANDIDATES="vmagent kymo-agent" bench/targets.sh
#
# Each candidate runs for DURATION seconds; what happens in the first WARMUP of them (connections, new series) counts for memory, and not
# for processor time. Needs Debian's prometheus and victoria-metrics (scripts/install-test-tools.sh).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGETS=${TARGETS:-10000}     # simulated exporters, each with an address of its own
SERIES=${SERIES:-100}         # series of each
INTERVAL=${INTERVAL:-15}      # seconds between scrapes of a target
DURATION=${DURATION:-150}     # seconds a candidate runs
WARMUP=${WARMUP:-45}          # of them not counted; at least two intervals
CANDIDATES=${CANDIDATES:-prometheus kymo vmagent kymo-agent}
KYMO=${KYMO:-$root/target/release/kymo}
EXPORTERS=${EXPORTERS:-}      # the simulated exporters (default: built from here)
OUT=${OUT:-}                  # where data, logs and results go (default: a temporary directory, deleted at the end)

if [[ -z $EXPORTERS ]]; then
  cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p sim --example targets
  EXPORTERS=${CARGO_TARGET_DIR:-$root/target}/release/examples/targets
fi
work=${OUT:-$(mktemp -d)}
mkdir -p "$work"
declare -A pids=()
stop() {
  local name
  for name in "$@"; do
    [[ -n ${pids[$name]:-} ]] || continue
    kill "${pids[$name]}" 2>/dev/null || true
    wait "${pids[$name]}" 2>/dev/null || true
    unset "pids[$name]"
  done
}
cleanup() {
  stop "${!pids[@]}"
  [[ -n $OUT ]] || rm -rf "$work"
}
trap cleanup EXIT

port=$((20000 + RANDOM % 10000))
next_port() {
  while ((++port)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
}
# spawn NAME COMMAND...: a process of that name, with a log.
spawn() {
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 &
  pids[$name]=$!
}
await() {
  local deadline=$((SECONDS + 60))
  until curl --silent --fail --output /dev/null "$1"; do
    ((SECONDS < deadline)) || { echo "$1 does not answer; logs are in $work" >&2; OUT=$work; exit 1; }
    sleep 0.2
  done
}
cpu_s() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hz }' "/proc/$1/stat"; }
memory_mb() { awk -v key="$2:" '$1 == key { printf "%.1f\n", $2 / 1024 }' "/proc/$1/$3"; }
seen() { curl --silent --fail "http://127.0.0.1:$exporters_port/-/stats" | awk -v key="$1" '$1 == key { print $2 }'; }
query() {
  curl --silent --fail --get "$1/api/v1/query" --data-urlencode "query=$2" |
    sed -nE 's/.*"value":\[[^,]*,"([^"]*)".*/\1/p'
}

configure() {
  cat <<END
global:
  scrape_interval: ${INTERVAL}s
  scrape_timeout: $((INTERVAL < 10 ? INTERVAL : 10))s
scrape_configs:
  - job_name: load
    file_sd_configs:
      - files: ["$work/targets.json"]
END
}

# Sets `ask`: who can be asked about what the candidate has collected.
start_candidate() {
  local name=$1 dir=$work/$1.data
  mkdir -p "$dir"
  configure >"$work/$name.yml"
  next_port
  ask=http://127.0.0.1:$port
  if [[ $name == *agent* ]]; then
    spawn receiver victoria-metrics -storageDataPath="$work/$name.receiver" -httpListenAddr="127.0.0.1:$port" \
      -search.latencyOffset=1s
    await "$ask/health"
    next_port
  fi
  case $name in
    prometheus)
      spawn "$name" prometheus --config.file="$work/$name.yml" --storage.tsdb.path="$dir" --web.listen-address="127.0.0.1:$port" ;;
    prometheus-agent)
      printf 'remote_write:\n  - url: %s/api/v1/write\n' "$ask" >>"$work/$name.yml"
      spawn "$name" prometheus --enable-feature=agent --config.file="$work/$name.yml" --storage.agent.path="$dir" \
        --web.listen-address="127.0.0.1:$port" ;;
    vmagent)
      spawn "$name" vmagent -promscrape.config="$work/$name.yml" -remoteWrite.url="$ask/api/v1/write" \
        -remoteWrite.tmpDataPath="$dir" -httpListenAddr="127.0.0.1:$port" ;;
    kymo)
      spawn "$name" "$KYMO" serve --config "$work/$name.yml" --data "$dir" --listen "127.0.0.1:$port" ;;
    kymo-agent)
      printf 'remote_write:\n  - url: %s/api/v1/write\n' "$ask" >>"$work/$name.yml"
      spawn "$name" "$KYMO" agent --config "$work/$name.yml" --data "$dir" --listen "127.0.0.1:$port" ;;
    *) echo "unknown candidate $name" >&2; exit 1 ;;
  esac
}

measure() {
  local name=$1 cpu0 cpu1 exporters0 scrapes0 scrapes1 late0 window=$((DURATION - WARMUP))
  echo "Measuring $name .." >&2
  next_port
  exporters_port=$port
  spawn exporters "$EXPORTERS" "$port" "$TARGETS" "$SERIES" "$INTERVAL"
  await "http://127.0.0.1:$port/-/stats"
  cp "$work/exporters.log" "$work/targets.json"
  start_candidate "$name"
  local pid=${pids[$name]}
  sleep "$WARMUP"
  cpu0=$(cpu_s "$pid") exporters0=$(cpu_s "${pids[exporters]}") scrapes0=$(seen scrapes) late0=$(seen late)
  sleep "$window"
  cpu1=$(cpu_s "$pid") scrapes1=$(seen scrapes)
  {
    awk -v cpu="$(echo "$cpu0 $cpu1")" -v scrapes="$((scrapes1 - scrapes0))" -v series="$SERIES" -v window="$window" 'BEGIN {
      split(cpu, c, " "); used = c[2] - c[1]
      printf "CPU-seconds per 1,000 scrapes\t%.3f\n", used / scrapes * 1000
      printf "CPU per sample, ns\t%.0f\n", used / scrapes / series * 1e9
      printf "processors used\t%.3f\n", used / window
      printf "CPU-seconds since the start\t%.1f\n", c[2]
      printf "scrapes while measured\t%d\n", scrapes }'
    printf 'scrapes expected\t%d\n' "$((TARGETS * window / INTERVAL))"
    printf 'scrapes more than half an interval late\t%d\n' "$(($(seen late) - late0))"
    printf 'RSS peak, MB\t%s\n' "$(memory_mb "$pid" VmHWM status)"
    printf 'RSS at the end, MB\t%s\n' "$(memory_mb "$pid" VmRSS status)"
    printf 'RSS not backed by files, MB\t%s\n' "$(memory_mb "$pid" RssAnon status)"
    printf 'PSS at the end, MB\t%s\n' "$(memory_mb "$pid" Pss smaps_rollup)"
    # What was sent on needs a moment to arrive.
    [[ $name != *agent* ]] || sleep 8
    printf 'targets up\t%s\n' "$(query "$ask" 'sum(up{job="load"})')"
    # Not the newest: they arrive while the question is answered.
    printf 'scrapes failed\t%s\n' "$(query "$ask" "sum(count_over_time(up{job=\"load\"}[${window}s] offset 15s)) - sum(sum_over_time(up{job=\"load\"}[${window}s] offset 15s))")"
    printf 'newest sample of each target counts\t%s\n' "$(query "$ask" 'sum(scrape_samples_scraped{job="load"})')"
    printf 'exporters: processors used\t%s\n' "$(awk -v a="$exporters0" -v b="$(cpu_s "${pids[exporters]}")" -v w="$window" 'BEGIN { printf "%.3f", (b - a) / w }')"
    printf 'exporters: bytes of an answer, compressed and not\t%s\n' "$(($(seen bytes) / $(seen scrapes))) $(($(seen body_bytes) / $(seen scrapes)))"
  } >"$work/$name.tsv"
  stop "$name" exporters receiver
  rm -rf "$work/$name.data" "$work/$name.receiver"
}

echo "$TARGETS targets × $SERIES series every $INTERVAL s; each for $DURATION s, the first $WARMUP s not counted" >&2
for name in $CANDIDATES; do measure "$name"; done
files=()
for name in $CANDIDATES; do files+=("$work/$name.tsv"); done
awk -F '\t' -v names="$CANDIDATES" '
  { if (!($1 in row)) { row[$1] = ""; order[++n] = $1 } row[$1] = row[$1] " " $2 " |" }
  END {
    count = split(names, name, " ")
    line = "| |"; rule = "|---|"
    for (i = 1; i <= count; i++) { line = line " " name[i] " |"; rule = rule "---:|" }
    print line; print rule
    for (i = 1; i <= n; i++) print "| " order[i] " |" row[order[i]]
  }' "${files[@]}"
