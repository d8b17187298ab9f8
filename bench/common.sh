# What the measurements here share: a server that is started alone and measured from outside. Sourced, not run.
#
# KYMO       the kymo program (default: target/release/kymo)
# SIDEBENCH  the sidebench program, which makes and sends the load (no default)
# OUT        where data, logs and results go (default: a temporary directory, deleted at the end)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
KYMO=${KYMO:-$root/target/release/kymo}
: "${SIDEBENCH:?set it to the sidebench program}"
work=${OUT:-$(mktemp -d)}
mkdir -p "$work"
pid=
cleanup() {
  [[ -z $pid ]] || kill_server || true
  wait
  [[ -n ${OUT:-} ]] || rm -rf "$work"
}
trap cleanup EXIT

# Nobody but the sender's samples shall be in the server.
printf 'scrape_configs: []\n' >"$work/kymo.yml"

now_ms() { date +%s%3N; }

# start_server [ARGUMENT...]: sets pid, base and ready_ms, the time from the start of the process to its first answer.
start_server() {
  local port=$((20000 + RANDOM % 10000)) begin
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  base=http://127.0.0.1:$port
  begin=$(now_ms)
  "$KYMO" serve --config "$work/kymo.yml" --data "$work/data" --listen "127.0.0.1:$port" "$@" >>"$work/kymo.log" 2>&1 &
  pid=$!
  until curl --silent --fail --max-time 120 --output /dev/null "$base/-/ready"; do
    kill -0 "$pid" 2>/dev/null || { echo "the server ended; its log:" >&2; tail -n 5 "$work/kymo.log" >&2; exit 1; }
    sleep 0.02
  done
  ready_ms=$(($(now_ms) - begin))
}

# kill_server: as a crash would. stop_server: in order.
kill_server() { { kill -9 "$pid"; wait "$pid" || true; } 2>/dev/null; pid=; }
stop_server() { kill "$pid"; wait "$pid" || true; pid=; }

# metric NAME: a figure of the server about itself, labels summed.
metric() {
  curl --silent --fail "$base/metrics" |
    awk -v name="$1" '{ split($1, n, "{") } n[1] == name { sum += $2 } END { printf "%.0f\n", sum }'
}

# rss_mb, peak_mb: resident memory now, and at most since the start. cpu_s: seconds of processor time of a process.
rss_mb() { awk '/^VmRSS/ { printf "%.0f\n", $2 / 1024 }' "/proc/$pid/status"; }
peak_mb() { awk '/^VmHWM/ { printf "%.0f\n", $2 / 1024 }' "/proc/$pid/status"; }
cpu_s() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hz }' "/proc/${1:-$pid}/stat"; }

# query EXPRESSION TIME: the first value of the answer.
query() {
  curl --silent --fail --get "$base/api/v1/query" --data-urlencode "query=$1" --data-urlencode "time=$2" |
    sed -nE 's/.*"value":\[[^,]*,"([^"]*)".*/\1/p'
}
