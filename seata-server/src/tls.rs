//! Certificates for both ports.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        server::{VerifierBuilderError, WebPkiClientVerifier},
    },
};

use crate::settings::TlsSettings;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read.
    #[error("TLS file {} cannot be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What came of it.
        error: io::Error,
    },
    /// A file holds no such thing, or a damaged one.
    #[error("TLS file {} holds no usable {expected}: {error}; PEM is expected", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
        /// What was found.
        error: pem::Error,
    },
    /// Certificate and key do not fit, or are of no kind that is supported.
    #[error("TLS certificate and key cannot be used together: {0}")]
    Mismatch(#[from] rustls::Error),
    /// An authority's certificate cannot be used.
    #[error("TLS client authorities cannot be used: {0}")]
    Authorities(#[from] VerifierBuilderError),
}

/// What makes TLS streams of connections. `protocols`: for ALPN, the best first.
///
/// # Errors
/// [`TlsError`] names the file and what is wrong with it.
pub(crate) fn acceptor(settings: &TlsSettings, protocols: &[&[u8]]) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&settings.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&settings.key)?).map_err(|error| TlsError::Pem {
        path: settings.key.clone(),
        expected: "private key",
        error,
    })?;
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match &settings.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
            )
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fails = |error| TlsError::Pem { path: path.to_owned(), expected: "certificate", error };
    let bytes = read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(fails)?;
    if found.is_empty() { Err(fails(pem::Error::NoItemsFound)) } else { Ok(found) }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read { path: path.to_owned(), error })
}
