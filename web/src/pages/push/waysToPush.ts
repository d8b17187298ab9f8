// How samples get here, in lines to copy. `origin` is where this page came from, which is where they go to.

export interface Way {
  name: string;
  /** Who sends so. */
  about: string;
  text: string;
  /** The path that it uses. */
  path: string;
}

/** Works as it stands, in any shell. */
export function curlExample(origin: string): string {
  return `curl -sSf "${origin}/api/v1/import/json" --data-binary \\
  '{"metric": "room_temperature_celsius", "labels": {"room": "kitchen"}, "value": 21.5}'`;
}

export function waysToPush(origin: string): Way[] {
  return [
    {
      name: 'Remote write',
      about: 'Prometheus, vmagent, Grafana Alloy',
      text: `remote_write:\n  - url: ${origin}/api/v1/write`,
      path: '/api/v1/write',
    },
    {
      name: 'OTLP',
      about: 'OpenTelemetry’s SDKs and Collector',
      text: `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=${origin}/api/v1/otlp/v1/metrics\nOTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf`,
      path: '/api/v1/otlp/v1/metrics',
    },
    {
      name: 'InfluxDB lines',
      about: 'Telegraf',
      text: `[[outputs.influxdb]]\n  urls = ["${origin}"]\n  skip_database_creation = true`,
      path: '/write',
    },
    {
      name: 'Pushgateway',
      about: 'jobs that end before they could be scraped',
      text: `echo "backup_bytes 1.5e9" |\n  curl -sSf --data-binary @- "${origin}/metrics/job/backup"`,
      path: '/metrics/job/backup',
    },
  ];
}
