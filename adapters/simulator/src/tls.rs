//! A certificate authority of its own and a server certificate for loopback.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::Error;

/// What a TLS server needs, and the authority its clients must trust.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) authority_pem: String,
}

/// Makes a new identity for `localhost` and `127.0.0.1`.
pub(crate) fn identity() -> Result<Identity, Error> {
    let failure = |error: &dyn std::fmt::Display| Error::Certificate(error.to_string());
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    authority.distinguished_name.push(DnType::CommonName, "simulated venue");
    let authority_key = KeyPair::generate().map_err(|error| failure(&error))?;
    let certificate = authority.self_signed(&authority_key).map_err(|error| failure(&error))?;
    let issuer = Issuer::new(authority, authority_key);

    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server = CertificateParams::new(names).map_err(|error| failure(&error))?;
    let server_key = KeyPair::generate().map_err(|error| failure(&error))?;
    let server = server.signed_by(&server_key, &issuer).map_err(|error| failure(&error))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failure(&error))?
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], key)
        .map_err(|error| failure(&error))?;
    Ok(Identity { acceptor: TlsAcceptor::from(Arc::new(config)), authority_pem: certificate.pem() })
}
