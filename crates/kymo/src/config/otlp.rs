//! `otlp`: how OpenTelemetry's metrics become series.

use http_client::InvalidSettings;
use scrape::settings::{Global, ValidationScheme};
use serde::Deserialize;
use wire::otlp::convert::{Promote, Settings};
use wire::otlp::naming::{Naming, Strategy};

use crate::features::Features;

/// The `otlp` section.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Otlp {
    promote_all_resource_attributes: bool,
    promote_resource_attributes: Vec<String>,
    ignore_resource_attributes: Vec<String>,
    translation_strategy: String,
    keep_identifying_resource_attributes: bool,
    convert_histograms_to_nhcb: bool,
    promote_scope_metadata: bool,
    label_name_underscore_sanitization: Option<bool>,
    label_name_preserve_multiple_underscores: Option<bool>,
}

impl Otlp {
    pub(super) fn check(&self, global: &Global) -> Result<(), InvalidSettings> {
        if self.promote_all_resource_attributes && !self.promote_resource_attributes.is_empty() {
            return Err(InvalidSettings::at(
                ["promote_resource_attributes"],
                "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured \
                 simultaneously",
            ));
        }
        if !self.promote_all_resource_attributes && !self.ignore_resource_attributes.is_empty() {
            return Err(InvalidSettings::at(
                ["ignore_resource_attributes"],
                "'ignore_resource_attributes' can only be used with 'promote_all_resource_attributes'",
            ));
        }
        check_attributes("ignore_resource_attributes", "ignored", &self.ignore_resource_attributes)?;
        check_attributes("promote_resource_attributes", "promoted", &self.promote_resource_attributes)?;
        self.check_strategy(global)
    }

    /// What the section says, with Prometheus' defaults.
    pub(super) fn settings(&self, features: &Features) -> Settings {
        let trimmed = |names: &[String]| names.iter().map(|name| name.trim().to_owned()).collect();
        let strategy = Strategy::ALL.iter().find(|(name, _)| *name == self.translation_strategy);
        let naming = Naming::default();
        Settings {
            naming: Naming {
                strategy: strategy.map_or(Strategy::default(), |(_, strategy)| *strategy),
                label_name_underscore_sanitization: self
                    .label_name_underscore_sanitization
                    .unwrap_or(naming.label_name_underscore_sanitization),
                label_name_preserve_multiple_underscores: self
                    .label_name_preserve_multiple_underscores
                    .unwrap_or(naming.label_name_preserve_multiple_underscores),
            },
            promote: if self.promote_all_resource_attributes {
                Promote::AllBut(trimmed(&self.ignore_resource_attributes))
            } else {
                Promote::Only(trimmed(&self.promote_resource_attributes))
            },
            keep_identifying_resource_attributes: self.keep_identifying_resource_attributes,
            convert_histograms_to_nhcb: self.convert_histograms_to_nhcb,
            promote_scope_metadata: self.promote_scope_metadata,
            native_delta_ingestion: features.native_delta_ingestion,
            type_and_unit_labels: features.type_and_unit_labels,
            ..Settings::default()
        }
    }

    fn check_strategy(&self, global: &Global) -> Result<(), InvalidSettings> {
        let strategy = &self.translation_strategy;
        let fault = |message: String| Err(InvalidSettings::at(["translation_strategy"], message));
        match strategy.as_str() {
            "" | "UnderscoreEscapingWithSuffixes" | "UnderscoreEscapingWithoutSuffixes" => Ok(()),
            "NoUTF8EscapingWithSuffixes" | "NoTranslation" => match global.validation() {
                ValidationScheme::Utf8 => Ok(()),
                ValidationScheme::Legacy => fault(format!(
                    "OTLP translation strategy {strategy:?} is not allowed when UTF8 is disabled"
                )),
            },
            other => fault(format!("unsupported OTLP translation strategy {other:?}")),
        }
    }
}

fn check_attributes(key: &str, what: &str, attributes: &[String]) -> Result<(), InvalidSettings> {
    for (i, attribute) in attributes.iter().enumerate() {
        let name = attribute.trim();
        let fault = |text: String| {
            Err(InvalidSettings::at([key, &i.to_string()], format!("invalid '{key}': {text}")))
        };
        if name.is_empty() {
            return fault(format!("empty {what} OTel resource attribute"));
        }
        if attributes[..i].iter().any(|earlier| earlier.trim() == name) {
            return fault(format!("duplicated {what} OTel resource attribute {name:?}"));
        }
    }
    Ok(())
}
