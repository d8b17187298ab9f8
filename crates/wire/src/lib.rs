//! Other people's formats to and from `model`: bytes in, values out, and back.
//!
//! Map: [`exposition`] what exporters answer with (Prometheus text 0.0.4, OpenMetrics 1.0, protobuf), and the
//! negotiation of it · [`text_writer`] the same text, written · [`remote_write`] Prometheus remote write 1.0 ·
//! [`remote_write2`] the same, 2.0 · [`otlp`] OpenTelemetry metrics · [`remote_read`] Prometheus remote read · [`prometheus_tsdb`] what Prometheus keeps on disk · [`influx`] Influx line protocol · [`graphite`] Graphite's plaintext · [`statsd`] StatsD and
//! DogStatsD · [`opentsdb`] OpenTSDB's telnet lines · [`zabbix`] what Zabbix' senders say · [`json_write`] samples as JSON objects, Kymo's and OpenTSDB's ·
//! [`json_lines`] series as JSON lines · [`native`] everything of many series, checksummed · [`csv`] tables · [`datadog`] Datadog's series and sketches · [`metric_family`] exposition protobuf, pushed · [`json`] JSON read leniently · [`protobuf`] reading and writing protobuf's wire
//! format by hand.
//!
//! Invariants: no sockets, no HTTP, no storage. Nothing here panics on outside data, every decoder bounds the
//! memory it takes, and parsers of hot paths allocate nothing per line or sample.

pub mod csv;
pub mod datadog;
pub mod exposition;
pub mod graphite;
pub mod influx;
pub mod json;
pub mod json_lines;
pub mod json_write;
pub mod metric_family;
pub mod native;
pub mod opentsdb;
pub mod otlp;
pub mod prometheus_tsdb;
pub mod protobuf;
pub mod remote_read;
pub mod remote_write;
pub mod remote_write2;
pub mod statsd;
pub mod text_writer;
pub mod zabbix;
