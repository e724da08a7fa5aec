//! Whom TLS trusts.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use satellite_core::http::HttpFailure;

/// A TLS configuration with one crypto provider.
///
/// Trusted is the machine's certificate store, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name in its
/// place. A machine without any store (a bare container) gets Mozilla's roots as of the build; a
/// variable that names nothing readable gets nothing, for it was meant to restrict. The certificates
/// of `additional`, a PEM file, are trusted beside these; it fails if there are none.
pub(crate) fn tls_configuration(additional: Option<&Path>) -> Result<ClientConfig, HttpFailure> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(error = %error, "Cannot read a certificate store");
    }
    roots.add_parsable_certificates(found.certs);
    // Without errors nothing was named, and nothing is there.
    if roots.is_empty() && found.errors.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(path) = additional {
        for certificate in certificates_of(path, "SATELLITE_CA_FILE")? {
            roots.add(certificate).map_err(|error| HttpFailure::Tls(error.to_string()))?;
        }
    }
    let mut configuration = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpFailure::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(configuration)
}

/// The certificates of a PEM file alone; `setting` is what names it.
#[cfg(feature = "backend")]
pub(crate) fn roots_of(path: &Path, setting: &str) -> Result<RootCertStore, HttpFailure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_of(path, setting)? {
        roots.add(certificate).map_err(|error| HttpFailure::Tls(error.to_string()))?;
    }
    Ok(roots)
}

fn certificates_of(
    path: &Path,
    setting: &str,
) -> Result<Vec<CertificateDer<'static>>, HttpFailure> {
    let unusable = |problem: String| {
        let path = path.display();
        HttpFailure::Tls(format!(
            "cannot use {path}: {problem}; name a readable PEM file in {setting}"
        ))
    };
    let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let certificates = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unusable(String::from("it holds no certificate")));
    }
    Ok(certificates)
}
