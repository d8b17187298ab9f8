//! Targets without a network: what is collected within this process.

use crate::host::HostCollector;

/// Something that can say what it measures, in Prometheus' text format. Scraped by the same loop as exporters.
pub trait Collector: Send + Sync + 'static {
    /// A word for its URL, `builtin://<name>`.
    fn name(&self) -> &str;

    /// Appends everything known now. May block for some milliseconds; called on a thread made for that.
    fn collect(&self, out: &mut String);
}

impl Collector for HostCollector {
    fn name(&self) -> &str {
        "host"
    }

    fn collect(&self, out: &mut String) {
        HostCollector::collect(self, out);
    }
}
