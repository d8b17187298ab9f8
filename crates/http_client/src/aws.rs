//! AWS: where credentials come from, and how requests are signed with them (Signature Version 4).
//!
//! Map: [`sign`] the signature · [`credentials`] keys from the configuration, the environment, files, a web identity,
//! the container or the machine, and roles assumed with them · `profile` AWS' configuration files.
//!
//! [`Settings`] are what Prometheus calls `sigv4`.

pub mod credentials;
pub mod sign;

mod profile;

use serde::Deserialize;

use crate::settings::{InvalidSettings, Secret};

pub use credentials::{Credentials, CredentialsError, Environment, Provider};
pub use sign::sign;

/// Who we are to AWS, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The region; empty: that of the environment, of the profile, or of this machine.
    pub region: String,
    /// Id of a key. Empty: keys are looked for elsewhere.
    pub access_key: String,
    /// The key.
    pub secret_key: Secret,
    /// Section of AWS' files that holds the keys. Empty: `AWS_PROFILE`, or `default`.
    pub profile: String,
    /// A role that is taken with the keys.
    pub role_arn: String,
    /// What the role asks for beside the keys.
    pub external_id: String,
    /// Whether roles are asked for at the FIPS endpoint.
    pub use_fips_sts_endpoint: bool,
}

impl Settings {
    /// Checks what a type cannot.
    ///
    /// # Errors
    /// If only half of a key is given; in Prometheus' words.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        if self.access_key.is_empty() == self.secret_key.is_empty() {
            return Ok(());
        }
        let key = if self.access_key.is_empty() { "access_key" } else { "secret_key" };
        let message = "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config";
        Err(InvalidSettings::at([key], message))
    }
}
