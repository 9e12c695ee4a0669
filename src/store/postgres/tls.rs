//! TLS to PostgreSQL: whose certificates are believed, and for which names.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;
use x509_cert::der::{Decode, Encode};

/// What is asked of a server's certificate. That the server has the certificate's key is asked for always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verify {
    /// Nothing more: the connection cannot be overheard, but may end at the wrong server.
    Nothing,
    /// That one of these has signed it.
    Chain(Roots),
    /// That, and that it is for the host.
    Name(Roots),
}

/// Certificates that are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// Those that the operating system trusts.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

/// What makes TLS connections. The error completes the sentence "database_url ...".
pub(super) fn connector(verify: &Verify) -> Result<MakeRustlsConnect, String> {
    client_config(verify).map(MakeRustlsConnect::new)
}

fn client_config(verify: &Verify) -> Result<ClientConfig, String> {
    let (roots, named) = match verify {
        Verify::Nothing => (None, Named::No),
        Verify::Chain(roots) => (Some(Trusted::read(roots)?), Named::No),
        Verify::Name(roots) => (Some(Trusted::read(roots)?), Named::Yes),
    };
    let provider = aws_lc_rs::default_provider();
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { algorithms, roots, named }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(config)
}

/// Whether a certificate must be for the host.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Yes,
    No,
}

#[derive(Debug)]
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    roots: Option<Trusted>,
    named: Named,
}

#[derive(Debug)]
struct Trusted {
    anchors: RootCertStore,
    /// Those of the file themselves, since a server may present one of them as its own.
    listed: Vec<CertificateDer<'static>>,
}

impl Trusted {
    fn read(roots: &Roots) -> Result<Self, String> {
        match roots {
            Roots::System => Self::of_system(),
            Roots::File(path) => {
                let name = format!("names the sslrootcert {}, which", path.display());
                let pem = fs::read(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
                Self::of_pem(&pem).map_err(|problem| format!("{name} {problem}"))
            }
        }
    }

    fn of_pem(pem: &[u8]) -> Result<Self, String> {
        let listed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let listed = listed.map_err(|error| format!("is damaged: {error}"))?;
        if listed.is_empty() {
            return Err("holds no certificate".to_owned());
        }
        let mut anchors = RootCertStore::empty();
        for certificate in &listed {
            anchors.add(certificate.clone()).map_err(|error| format!("is damaged: {error}"))?;
        }
        Ok(Self { anchors, listed })
    }

    fn of_system() -> Result<Self, String> {
        let found = rustls_native_certs::load_native_certs();
        let mut anchors = RootCertStore::empty();
        let (usable, _) = anchors.add_parsable_certificates(found.certs);
        if usable == 0 {
            let cause = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(format!("has sslrootcert=system, but this system has no certificates{cause}"));
        }
        Ok(Self { anchors, listed: Vec::new() })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        if roots.listed.contains(end_entity) {
            // webpki takes no certificate that may sign others for a server's own, yet that is what `openssl req
            // -x509` makes. Trusted by name, it needs no signature.
            in_its_time(end_entity, now)?;
        } else {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, &roots.anchors, intermediates, now, algorithms)?;
        }
        if self.named == Named::Yes {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // webpki reads no certificates of version 1, which the recipe in PostgreSQL's own manual makes; their key is
        // as good as any where nothing is asked of the rest.
        verify_tls13_signature(message, cert, dss, &self.algorithms).or_else(|error| {
            let key = key_of(cert).ok_or(error)?;
            verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn in_its_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = x509_cert::Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let validity = parsed.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

fn key_of(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
    parsed.tbs_certificate.subject_public_key_info.to_der().ok().map(SubjectPublicKeyInfoDer::from)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;
    use rustls::time_provider::TimeProvider;
    use rustls::version::{TLS12, TLS13};
    use rustls::{ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion};

    use super::super::tests::cluster::{certify, certify_itself};
    use super::*;

    /// A server with one certificate and a key that need not be its own.
    #[derive(Debug)]
    struct Presents(Arc<CertifiedKey>);

    impl Presents {
        fn new(dir: &Path, certificate: &str, key: &str) -> Arc<Self> {
            let certificate = CertificateDer::from_pem_file(dir.join(certificate).with_extension("crt")).unwrap();
            let key = PrivateKeyDer::from_pem_file(dir.join(key).with_extension("key")).unwrap();
            let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
            Arc::new(Self(Arc::new(CertifiedKey::new(vec![certificate], key))))
        }
    }

    impl ResolvesServerCert for Presents {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    /// How far the clock is off, in seconds.
    #[derive(Debug)]
    struct Off(i64);

    impl TimeProvider for Off {
        fn current_time(&self) -> Option<UnixTime> {
            let now = UnixTime::now().as_secs().saturating_add_signed(self.0);
            Some(UnixTime::since_unix_epoch(Duration::from_secs(now)))
        }
    }

    /// What the client makes of the server, without a network between them.
    fn talk(
        client: ClientConfig,
        server: Arc<Presents>,
        version: &'static SupportedProtocolVersion,
    ) -> Result<(), Error> {
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(server);
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut sent = Vec::new();
            client.write_tls(&mut sent).unwrap();
            server.read_tls(&mut sent.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut answered = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut answered).unwrap();
            }
            let mut answered = answered.as_slice();
            while !answered.is_empty() {
                client.read_tls(&mut answered).unwrap();
                client.process_new_packets()?;
            }
        }
        Ok(())
    }

    #[test]
    fn a_certificate_without_its_key_is_refused_in_every_mode() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        certify_itself(dir, "root", None);
        certify(dir, "good", "root", Some("DNS:localhost"));
        certify(dir, "old", "root", None);
        certify_itself(dir, "itself", Some("DNS:localhost"));
        let file = |name: &str| Roots::File(dir.join(name).with_extension("crt"));
        let rows = [
            (Verify::Nothing, "good"),
            (Verify::Chain(file("root")), "good"),
            (Verify::Name(file("root")), "good"),
            (Verify::Chain(file("itself")), "itself"),
            (Verify::Name(file("itself")), "itself"),
            (Verify::Nothing, "old"),
        ];
        for (verify, certificate) in rows {
            for version in [&TLS13, &TLS12] {
                let talk = |key| talk(client_config(&verify).unwrap(), Presents::new(dir, certificate, key), version);
                // webpki knows no certificates of version 1, and under TLS 1.2 there is no way around it.
                let known = certificate != "old" || version.version == TLS13.version;
                assert_eq!(talk(certificate).is_ok(), known, "{verify:?} {certificate} {version:?}");
                let stolen = talk("root").unwrap_err();
                let told = stolen == Error::InvalidCertificate(CertificateError::BadSignature);
                assert_eq!(told, known, "{verify:?} {certificate} {version:?} {stolen:?}");
            }
        }
    }

    #[test]
    fn a_certificate_counts_in_its_time_only() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        certify_itself(dir, "root", None);
        certify(dir, "good", "root", Some("DNS:localhost"));
        certify_itself(dir, "itself", Some("DNS:localhost"));
        const DAY: i64 = 86_400;
        let file = |name: &str| Roots::File(dir.join(name).with_extension("crt"));
        for (roots, certificate) in [("root", "good"), ("itself", "itself")] {
            for (off, verdict) in [(DAY, "Ok"), (3 * DAY, "Expired"), (-DAY, "NotValidYet")] {
                for verify in [Verify::Chain(file(roots)), Verify::Name(file(roots))] {
                    let mut client = client_config(&verify).unwrap();
                    client.time_provider = Arc::new(Off(off));
                    let said = talk(client, Presents::new(dir, certificate, certificate), &TLS13);
                    assert!(format!("{said:?}").contains(verdict), "{verify:?} {off} {said:?}");
                }
                let mut client = client_config(&Verify::Nothing).unwrap();
                client.time_provider = Arc::new(Off(off));
                assert_eq!(talk(client, Presents::new(dir, certificate, certificate), &TLS13), Ok(()));
            }
        }
    }

    #[test]
    fn roots_that_cannot_be_used_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        let rows = [
            (file("empty", ""), "holds no certificate"),
            (file("other", "neither this"), "holds no certificate"),
            (file("cut", "-----BEGIN CERTIFICATE-----\nAAAA\n"), "is damaged"),
            (file("junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "is damaged"),
            (dir.path().join("absent"), "cannot be read"),
        ];
        for (path, part) in rows {
            let problem = client_config(&Verify::Chain(Roots::File(path.clone()))).unwrap_err();
            assert!(problem.contains(part) && problem.contains(&path.display().to_string()), "{problem}");
        }
    }
}
