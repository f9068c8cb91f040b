//! TLS on the Seata port: who has no certificate of a known authority is no client.

use std::{fs, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use seata_server::settings::TlsSettings;
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{PrivatePkcs8KeyDer, ServerName},
    },
};

use crate::{peer::Peer, server, stop};

#[tokio::test]
async fn a_client_needs_a_certificate_where_authorities_are_set() {
    let directory = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let (key, client_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let sign = |name: &str, key: &KeyPair| {
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(key, &authority).unwrap()
    };
    let (certificate, client) = (sign("localhost", &key), sign("client", &client_key));
    let write = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let tls = TlsSettings {
        certificate: write("server.pem", certificate.pem()),
        key: write("server.key", key.serialize_pem()),
        client_authorities: Some(write("authorities.pem", authority.pem())),
    };
    let (server, address) = server(|settings| {
        settings.front.tls = Some(tls);
        settings.front.patience = Duration::from_millis(500);
    })
    .await;

    let connect = async |with_certificate: bool| {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = if with_certificate {
            let key = PrivatePkcs8KeyDer::from(client_key.serialize_der());
            builder.with_client_auth_cert(vec![client.der().clone()], key.into()).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    let mut welcome = Peer::over(connect(true).await.unwrap());
    welcome.register_tm("2.6.0").await;
    welcome.begin().await;

    if let Ok(mut stream) = connect(false).await {
        // The refusal comes behind the client's own part of the handshake.
        assert!(stream.read_u8().await.is_err(), "a client without a certificate is served");
    }
    let mut mute = TcpStream::connect(address).await.unwrap();
    let read = timeout(Duration::from_secs(5), mute.read_u8()).await.expect("a handshake has a limit");
    assert!(read.is_err());
    welcome.begin().await;
    stop(server).await;
}
