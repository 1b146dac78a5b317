//! The node's own certificates: asked for by CertificateSigningRequests, kept in files, renewed before they end
//! (pkg/kubelet/certificate and client-go's util/certificate).

mod file;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use decapod_client::{CertifiedError, Client, Informer, Selection};
use decapod_sys::Env;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To show who the node is.
    Client,
    /// To serve the node's own API under these names and addresses.
    Serving(Vec<String>),
}

/// A certificate of a node, in a file with its key.
#[derive(Clone)]
pub struct NodeCertificate {
    env: Env,
    node: String,
    purpose: Purpose,
    path: PathBuf,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The request could not be made up.
    #[error("making a certificate request: {0}")]
    Make(#[from] rcgen::Error),
    /// The API server does not take it.
    #[error("asking for a certificate of the node: {0}")]
    Ask(#[from] decapod_api::Status),
    /// Somebody, or something, said no.
    #[error("the request {name} for a certificate of the node was refused: {why}")]
    Refused {
        /// The request.
        name: String,
        /// Their words.
        why: String,
    },
    /// Nobody said anything.
    #[error(
        "nobody has signed the request {0} for a certificate of the node: look at it with kubectl get csr, and approve it with kubectl certificate approve {0}"
    )]
    Waited(String),
    /// What came is of no use.
    #[error("the certificate that was signed: {0}")]
    Damaged(#[from] CertifiedError),
    /// It cannot be kept.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// How long a request waits to be signed, as upstream.
const SIGNED_WITHIN: Duration = Duration::from_secs(15 * 60);
/// When a renewal that failed is tried again, at first and at most.
const AGAIN_MIN: Duration = Duration::from_secs(10);
const AGAIN_MAX: Duration = Duration::from_secs(3600);

// === impl NodeCertificate ===

impl NodeCertificate {
    /// The certificate of `node` for `purpose`, kept in the file at `path`.
    pub fn new(env: &Env, node: &str, purpose: Purpose, path: PathBuf) -> NodeCertificate {
        NodeCertificate { env: env.clone(), node: node.to_owned(), purpose, path }
    }

    /// The file.
    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Whether the file holds it, and it is not over.
    pub fn is_good(&self) -> bool {
        let now = self.env.now();
        file::Kept::read(&self.path)
            .is_some_and(|kept| kept.until > now && kept.is_of(&self.subject(), self.hosts()))
    }

    /// Asks for it with a new key, waits until it is signed, and keeps both.
    pub async fn obtain(&self, client: &Client) -> Result<(), CertificateError> {
        let key = KeyPair::generate()?;
        let request = self.request(&key)?;
        let csr = client.create(&request).await?;
        let name = csr.metadata.name.unwrap_or_default();
        let signed = tokio::time::timeout(SIGNED_WITHIN, self.signed(client, &name)).await;
        let pem = signed.map_err(|_| CertificateError::Waited(name))??;
        let key_pem = key.serialize_pem();
        decapod_client::certified_key(&pem, key_pem.as_bytes())?;
        let pem = [key_pem.as_bytes(), &pem].concat();
        file::write(&self.path, &pem)
            .map_err(|source| CertificateError::Write { path: self.path.clone(), source })
    }

    /// Renews it for ever, each time when between 70 and 90 hundredths of its time are over.
    pub async fn keep(self, client: Client) {
        let mut again = AGAIN_MIN;
        loop {
            tokio::time::sleep(self.until_renewal()).await;
            match self.obtain(&client).await {
                Ok(()) => again = AGAIN_MIN,
                Err(error) => {
                    tracing::warn!(%error, "a certificate of the node is not renewed; trying again");
                    tokio::time::sleep(again).await;
                    again = (again * 2).min(AGAIN_MAX);
                }
            }
        }
    }

    fn until_renewal(&self) -> Duration {
        let Some(kept) = file::Kept::read(&self.path) else { return Duration::ZERO };
        let hundredths = 70 + self.env.random_below(20) as i32;
        let due = renewal(kept.from, kept.until, hundredths);
        due.duration_since(self.env.now()).try_into().unwrap_or(Duration::ZERO)
    }

    /// Returns the certificate of the request `name`.
    async fn signed(&self, client: &Client, name: &str) -> Result<Vec<u8>, CertificateError> {
        let scope = self.env.scope();
        let selection = Selection { field_selector: format!("metadata.name={name}"), ..Selection::default() };
        let requests = Informer::<CertificateSigningRequest>::start(&scope, client, selection);
        let mut changes = requests.subscribe();
        let outcome = loop {
            let Some(change) = changes.next().await else {
                break Err(CertificateError::Waited(name.to_owned()));
            };
            let csr =
                change.new.and_then(|csr| decapod_client::decode::<CertificateSigningRequest>(&csr).ok());
            match csr.map(outcome) {
                Some(Some(outcome)) => break outcome,
                Some(None) => {}
                None => {
                    let why = "it was deleted".to_owned();
                    break Err(CertificateError::Refused { name: name.to_owned(), why });
                }
            }
        };
        scope.shutdown().await;
        outcome
    }

    fn request(&self, key: &KeyPair) -> Result<CertificateSigningRequest, CertificateError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        params.distinguished_name.push(DnType::CommonName, self.subject());
        for host in self.hosts() {
            params.subject_alt_names.push(match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(host.as_str().try_into()?),
            });
        }
        let (signer, usage) = match self.purpose {
            Purpose::Client => ("kubernetes.io/kube-apiserver-client-kubelet", "client auth"),
            Purpose::Serving(_) => ("kubernetes.io/kubelet-serving", "server auth"),
        };
        Ok(CertificateSigningRequest {
            metadata: ObjectMeta { generate_name: Some("csr-".to_owned()), ..ObjectMeta::default() },
            spec: CertificateSigningRequestSpec {
                request: ByteString(params.serialize_request(key)?.pem()?.into_bytes()),
                signer_name: signer.to_owned(),
                usages: Some(vec!["digital signature".to_owned(), usage.to_owned()]),
                ..CertificateSigningRequestSpec::default()
            },
            status: None,
        })
    }

    fn subject(&self) -> String {
        format!("system:node:{}", self.node)
    }

    fn hosts(&self) -> &[String] {
        match &self.purpose {
            Purpose::Client => &[],
            Purpose::Serving(hosts) => hosts,
        }
    }
}

/// When a certificate is renewed.
fn renewal(from: Timestamp, until: Timestamp, hundredths: i32) -> Timestamp {
    let lasts: SignedDuration = until.duration_since(from);
    from + lasts * hundredths / 100
}

/// What has become of a request, once something has.
fn outcome(csr: CertificateSigningRequest) -> Option<Result<Vec<u8>, CertificateError>> {
    let name = csr.metadata.name.unwrap_or_default();
    let status = csr.status?;
    let refused =
        status.conditions.into_iter().flatten().find(|one| matches!(one.type_.as_str(), "Denied" | "Failed"));
    if let Some(refused) = refused {
        let why = [refused.reason, refused.message].into_iter().flatten().collect::<Vec<_>>().join(": ");
        return Some(Err(CertificateError::Refused { name, why }));
    }
    status.certificate.map(|certificate| certificate.0).filter(|pem| !pem.is_empty()).map(Ok)
}
