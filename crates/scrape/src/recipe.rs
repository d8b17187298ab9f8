//! How the targets of one pool are scraped: the job, and what is made of it once for all its targets.

use std::sync::Arc;

use http_client::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue};
use model::histogram::{SCHEMA_MAX, SCHEMA_MIN};
use parking_lot::RwLock;
use wire::exposition::negotiation;

use crate::collector::Collector;
use crate::error::{Error, ScrapeError};
use crate::failure_log::FailureLog;
use crate::settings::{EscapingScheme, Job, ScrapeProtocol};

/// zstd costs a third of gzip to decode.
const ENCODINGS: &str = "zstd, gzip;q=0.9";

/// See the module.
pub(crate) struct Recipe {
    pub(crate) job: Job,
    pub(crate) source: Source,
    /// Headers of each request.
    pub(crate) headers: HeaderMap,
    pub(crate) fallback: Option<negotiation::ScrapeProtocol>,
    /// The finest schema of native histograms.
    pub(crate) schema_max: i32,
    /// Where failed scrapes are listed, if anywhere.
    pub(crate) failure_log: Option<FailureLog>,
    /// Set while the pool has more targets than it may: all its scrapes fail with this.
    pub(crate) target_limit_error: RwLock<Option<ScrapeError>>,
}

/// Where samples come from.
pub(crate) enum Source {
    /// Over HTTP.
    Http(Box<http_client::Client>),
    /// From within this process.
    BuiltIn {
        /// What is asked.
        collector: Arc<dyn Collector>,
        /// The first scrape does not wait for its slot.
        at_once: bool,
    },
}

impl Recipe {
    /// A recipe for targets that are reached over HTTP.
    ///
    /// # Errors
    /// If the client cannot be made, for instance because a certificate file is missing, or the log of failures
    /// cannot be opened.
    pub(crate) fn http(job: Job) -> Result<Arc<Self>, Error> {
        let client = http_client::Client::new(job.http.clone())
            .map_err(|source| Error::Client { job: job.name.clone(), source })?;
        let log = match job.failure_log_file.as_str() {
            "" => None,
            path => Some(FailureLog::open(&job.name, path)?),
        };
        Ok(Self::new(job, Source::Http(Box::new(client)), log))
    }

    /// A recipe for targets within this process. `at_once`: their first scrape does not wait for its slot.
    pub(crate) fn built_in(job: Job, collector: Arc<dyn Collector>, at_once: bool) -> Arc<Self> {
        Self::new(job, Source::BuiltIn { collector, at_once }, None)
    }

    /// Whether the first scrape of a target does not wait for its slot.
    pub(crate) fn begins_at_once(&self) -> bool {
        matches!(self.source, Source::BuiltIn { at_once: true, .. })
    }

    fn new(job: Job, source: Source, failure_log: Option<FailureLog>) -> Arc<Self> {
        let mut headers = HeaderMap::new();
        let protocols: Vec<_> = job.protocols.iter().copied().map(protocol).collect();
        let accept = negotiation::accept_header(&protocols, escaping(job.escaping));
        if let Ok(accept) = HeaderValue::from_str(&accept) {
            headers.insert(ACCEPT, accept);
        }
        let encodings = if job.compression { ENCODINGS } else { "identity" };
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encodings));
        let fallback = job.fallback_protocol.map(protocol);
        let schema_max = schema_for(job.native_histogram_min_bucket_factor);
        let target_limit_error = RwLock::default();
        Arc::new(Self { job, source, headers, fallback, schema_max, failure_log, target_limit_error })
    }

    /// Whether series that were relabelled under `self` would come out the same under `other`.
    pub(crate) fn labels_alike(&self, other: &Self) -> bool {
        let decisive = |job: &Job| {
            (
                job.honor_labels,
                job.label_limit,
                job.label_name_length_limit,
                job.label_value_length_limit,
                job.validation,
                job.type_and_unit_labels,
                // Series of one form that are no more wanted are not to be taken for those of the other.
                job.native_histograms,
                job.convert_to_nhcb,
            )
        };
        decisive(&self.job) == decisive(&other.job) && self.job.metric_relabel == other.job.metric_relabel
    }
}

/// The finest schema whose buckets grow by at least `factor`, as Prometheus' `native_histogram_min_bucket_factor` has it.
fn schema_for(factor: f64) -> i32 {
    // At 1 or below the finest; a factor of infinity is the coarsest.
    if factor.is_nan() || factor <= 1.0 {
        return SCHEMA_MAX;
    }
    let schema = (-factor.log2().log2()).floor();
    schema.clamp(f64::from(SCHEMA_MIN), f64::from(SCHEMA_MAX)) as i32
}

fn protocol(protocol: ScrapeProtocol) -> negotiation::ScrapeProtocol {
    match protocol {
        ScrapeProtocol::PrometheusProto => negotiation::ScrapeProtocol::PrometheusProto,
        ScrapeProtocol::PrometheusText0_0_4 => negotiation::ScrapeProtocol::PrometheusText0_0_4,
        ScrapeProtocol::PrometheusText1_0_0 => negotiation::ScrapeProtocol::PrometheusText1_0_0,
        ScrapeProtocol::OpenMetricsText0_0_1 => negotiation::ScrapeProtocol::OpenMetricsText0_0_1,
        ScrapeProtocol::OpenMetricsText1_0_0 => negotiation::ScrapeProtocol::OpenMetricsText1_0_0,
    }
}

fn escaping(scheme: EscapingScheme) -> negotiation::EscapingScheme {
    match scheme {
        EscapingScheme::AllowUtf8 => negotiation::EscapingScheme::AllowUtf8,
        EscapingScheme::Underscores => negotiation::EscapingScheme::Underscores,
        EscapingScheme::Dots => negotiation::EscapingScheme::Dots,
        EscapingScheme::Values => negotiation::EscapingScheme::Values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finest_schema_is_prometheus() {
        // 2^(2^-schema) is the growth of a schema.
        for (factor, schema) in
            [(0.0, 8), (1.0, 8), (1.002, 8), (1.1, 2), (2.0, 0), (4.0, -1), (1e9, -4), (f64::INFINITY, -4)]
        {
            assert_eq!(schema_for(factor), schema, "{factor}");
        }
    }
}
