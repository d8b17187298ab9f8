//! Certificates, keys and versions, as rustls wants them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion, version,
};

use crate::client::BuildError;
use crate::settings::{TlsSettings, TlsVersion};

/// The certificates that this machine trusts; read once, because there are some hundred of them.
static SYSTEM_ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "cannot read some of the system's certificates");
    }
    roots.add_parsable_certificates(found.certs);
    Arc::new(roots)
});

/// Which files of certificates were there, and how new they were.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(Vec<Option<(SystemTime, u64)>>);

impl Fingerprint {
    pub(crate) fn of(settings: &TlsSettings) -> Self {
        let look = |path: &String| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        let files = [&settings.ca_file, &settings.cert_file, &settings.key_file];
        Self(files.into_iter().filter(|file| !file.is_empty()).map(look).collect())
    }
}

impl TlsSettings {
    /// Whether anything of it stands in files that may change.
    pub(crate) fn has_files(&self) -> bool {
        !(self.ca_file.is_empty() && self.cert_file.is_empty() && self.key_file.is_empty())
    }
}

/// Everything that a connection to a `https` peer needs.
pub(crate) fn client_config(settings: &TlsSettings) -> Result<ClientConfig, BuildError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings))
        .map_err(|error| BuildError::Tls { key: "tls_config", reason: error.to_string() })?
        .dangerous()
        .with_custom_certificate_verifier(verifier(settings, &provider)?);
    let Some(chain) = text_or_file("cert_file", &settings.cert, &settings.cert_file)? else {
        return Ok(builder.with_no_client_auth());
    };
    let key = text_or_file("key_file", settings.key.reveal(), &settings.key_file)?.unwrap_or_default();
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| BuildError::Tls {
        key: "key_file",
        reason: format!("no private key in PEM: {error}"),
    })?;
    builder
        .with_client_auth_cert(certificates("cert_file", &chain)?, key)
        .map_err(|error| BuildError::Tls { key: "cert_file", reason: error.to_string() })
}

fn versions(settings: &TlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    let known = [(TlsVersion::Tls12, &version::TLS12), (TlsVersion::Tls13, &version::TLS13)];
    known
        .into_iter()
        .filter(|(version, _)| settings.min_version.is_none_or(|min| min <= *version))
        .filter(|(version, _)| settings.max_version.is_none_or(|max| *version <= max))
        .map(|(_, version)| version)
        .collect()
}

fn text_or_file(key: &'static str, text: &str, file: &str) -> Result<Option<Vec<u8>>, BuildError> {
    if !text.is_empty() {
        return Ok(Some(text.as_bytes().to_vec()));
    }
    if file.is_empty() {
        return Ok(None);
    }
    match std::fs::read(Path::new(file)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(source) => Err(BuildError::File { key, path: PathBuf::from(file), source }),
    }
}

fn certificates(key: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let parsed = parsed.map_err(|error| BuildError::Tls { key, reason: error.to_string() })?;
    if parsed.is_empty() {
        return Err(BuildError::Tls { key, reason: "no certificate in PEM".to_owned() });
    }
    Ok(parsed)
}

fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, BuildError> {
    if settings.insecure_skip_verify {
        return Ok(Arc::new(AnyCertificate(Arc::clone(provider))));
    }
    let roots = match text_or_file("ca_file", &settings.ca, &settings.ca_file)? {
        None => Arc::clone(&SYSTEM_ROOTS),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("ca_file", &pem)? {
                let added = roots.add(certificate);
                added.map_err(|error| BuildError::Tls { key: "ca_file", reason: error.to_string() })?;
            }
            Arc::new(roots)
        }
    };
    if roots.is_empty() {
        // A machine without certificates can still use http; https fails with a reason.
        return Ok(Arc::new(NoRoots(Arc::clone(provider))));
    }
    let fault = |reason: String| BuildError::Tls { key: "tls_config", reason };
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
    let verifier = verifier.map_err(|error| fault(error.to_string()))?;
    if settings.server_name.is_empty() {
        return Ok(verifier);
    }
    let name = ServerName::try_from(settings.server_name.clone())
        .map_err(|error| BuildError::Tls { key: "server_name", reason: error.to_string() })?;
    Ok(Arc::new(OtherName { name, verifier }))
}

/// `insecure_skip_verify`: any certificate will do, but the peer must hold its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

/// No root certificate is known: nothing can be verified.
#[derive(Debug)]
struct NoRoots(Arc<CryptoProvider>);

/// `server_name`: the certificate must be for this name, whatever the URL says.
#[derive(Debug)]
struct OtherName {
    name: ServerName<'static>,
    verifier: Arc<WebPkiServerVerifier>,
}

macro_rules! signatures_by_provider {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls12_signature(
                message,
                cert,
                dss,
                &self.0.signature_verification_algorithms,
            )
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls13_signature(
                message,
                cert,
                dss,
                &self.0.signature_verification_algorithms,
            )
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures_by_provider!();
}

impl ServerCertVerifier for NoRoots {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(rustls::Error::General(
            "this machine has no root certificates; install the package ca-certificates, or set tls_config ca_file"
                .to_owned(),
        ))
    }

    signatures_by_provider!();
}

impl ServerCertVerifier for OtherName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
