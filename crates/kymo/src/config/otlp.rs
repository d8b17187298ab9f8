//! `otlp`: read and checked; OTLP is not received yet.

use http_client::InvalidSettings;
use scrape::settings::{Global, ValidationScheme};
use serde::Deserialize;

/// The `otlp` section.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Otlp {
    promote_all_resource_attributes: bool,
    promote_resource_attributes: Vec<String>,
    ignore_resource_attributes: Vec<String>,
    translation_strategy: String,
    #[serde(rename = "keep_identifying_resource_attributes")]
    _keep_identifying_resource_attributes: bool,
    #[serde(rename = "convert_histograms_to_nhcb")]
    _convert_histograms_to_nhcb: bool,
    #[serde(rename = "promote_scope_metadata")]
    _promote_scope_metadata: bool,
    #[serde(rename = "label_name_underscore_sanitization")]
    _label_name_underscore_sanitization: Option<bool>,
    #[serde(rename = "label_name_preserve_multiple_underscores")]
    _label_name_preserve_multiple_underscores: Option<bool>,
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
