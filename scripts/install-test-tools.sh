#!/usr/bin/env bash
# Installs what the tests need and this machine lacks: real peers and a browser from Debian, clients for Python, cargo-deny.
set -euo pipefail
declare -A package_of=([prometheus]=prometheus [promtool]=prometheus
  [prometheus-node-exporter]=prometheus-node-exporter [chromium]=chromium
  [prometheus-alertmanager]=prometheus-alertmanager
  [vmagent]=victoria-metrics
  [amtool]=prometheus-alertmanager [prometheus-alertmanager]=prometheus-alertmanager
  [etcd]=etcd-server [redis-server]=redis-server [prometheus-redis-exporter]=prometheus-redis-exporter
  [prometheus-blackbox-exporter]=prometheus-blackbox-exporter
  [pg_ctlcluster]=postgresql [prometheus-postgres-exporter]=prometheus-postgres-exporter
  [collectd]=collectd-core [zabbix_sender]=zabbix-sender)
missing=()
for program in "${!package_of[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
# Debian's Python comes without what a virtual environment needs.
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if ((${#missing[@]})); then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  echo "installing ${missing[*]}"
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
# Clients in Python live beside the build; a changed list is installed anew.
folder=$(cd "$(dirname "$0")/.." && pwd)
venv=${CARGO_TARGET_DIR:-$folder/target}/test-python
wanted=$folder/tests/python/requirements.txt
if ! cmp -s "$wanted" "$venv/installed.txt"; then
  echo "installing Python packages"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
  cp "$wanted" "$venv/installed.txt"
fi
command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny
command -v npm >/dev/null || { echo "the tests of the UI need Node 20 or newer" >&2; exit 1; }
