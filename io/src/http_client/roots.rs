//! Whom TLS trusts.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// A TLS configuration with one crypto provider.
///
/// Trusted is the machine's certificate store, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name in its
/// place. A machine without any store (a bare container) gets Mozilla's roots as of the build; a
/// variable that names nothing readable gets nothing, for it was meant to restrict.
pub(super) fn tls_configuration() -> Result<ClientConfig, rustls::Error> {
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
    let mut configuration = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(configuration)
}
