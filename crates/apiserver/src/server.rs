//! The API server as a whole: what its parts share, how it starts and how it is asked from within the process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use decapod_api::Status;
use decapod_client::{Client, Reply, Request, Transport};
use decapod_store::Store;
use decapod_sys::Env;
use futures::future::BoxFuture;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::admission;
use crate::aggregation::{self, Aggregator};
use crate::authn::Tokens;
use crate::authz::{self, Authorizer, Question, Union, What};
use crate::bootstrap;
use crate::connect::Dialer;
use crate::http::kept::Kept;
use crate::http::serve;
use crate::identity::User;
use crate::metrics::Metrics;
use crate::openapi::Documents;
use crate::pki::{self, Pki, Subject};
use crate::registry::{self, Context, Media, Registry, Services, Special};

/// How an API server is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where data, keys and certificates are kept.
    pub data_dir: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// By what names and addresses clients know it, besides the loopback ones.
    pub hosts: Vec<String>,
    /// The network that services get their addresses from: base and length of the prefix.
    pub service_cidr: (std::net::Ipv4Addr, u8),
    /// The ports that services get on nodes.
    pub node_ports: std::ops::RangeInclusive<u16>,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// The address that the `kubernetes` service leads to.
    pub advertise: std::net::Ipv4Addr,
    /// Which admission plugins run.
    pub admission: admission::Settings,
}

/// A running API server.
pub struct Server {
    env: Env,
    config: Config,
    pub(crate) registry: Arc<Registry>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) metrics: Metrics,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) aggregator: Aggregator,
    pub(crate) openapi: Documents,
    pub(crate) kept: Kept,
    pki: Arc<Pki>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Keys and certificates.
    #[error(transparent)]
    Pki(#[from] pki::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] decapod_store::OpenError),
    /// The address.
    #[error("cannot listen on {address}: {source}: stop what uses the port, or choose another with --port")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The default objects.
    #[error("making the default objects: {0}")]
    Bootstrap(Status),
    /// Which admission plugins run.
    #[error(transparent)]
    Admission(#[from] admission::SettingsError),
    /// TLS.
    #[error("setting up TLS: {0}")]
    Tls(String),
}

/// The name under which the server is known inside the cluster.
const IN_CLUSTER: [&str; 3] = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"];

// === impl Server ===

impl Server {
    /// Starts a server: when this returns, it answers.
    pub async fn start(env: &Env, config: Config) -> Result<Arc<Server>, StartError> {
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|source| StartError::Listen { address: config.listen, source })?;
        let server = Server::new(env, config).await?;
        let tls = server.tls()?;
        server.metrics.ready.set();
        env.spawn("apiserver", serve::accept(server.clone(), listener, tls));
        Ok(server)
    }

    /// A server that only this process can ask.
    pub async fn new(env: &Env, config: Config) -> Result<Arc<Server>, StartError> {
        let pki = Pki::open(&config.data_dir.join("pki"), env.now())?;
        let store = Store::open(decapod_store::Config::dir(config.data_dir.join("store")), env).await?;
        Server::over(env, config, Arc::new(pki), store).await
    }

    /// The same over keys and a store that are wherever the caller has them; the simulation's are in memory.
    pub async fn over(
        env: &Env,
        config: Config,
        pki: Arc<Pki>,
        store: Store,
    ) -> Result<Arc<Server>, StartError> {
        let issuer = format!("https://kubernetes.default.svc.{}", config.cluster_domain);
        let tokens =
            Tokens::new(&pki.token_key()?, &issuer, vec![issuer.clone()]).map_err(StartError::Bootstrap)?;
        let tokens = Arc::new(tokens);
        let authorizer: Arc<dyn Authorizer> = Arc::new(Union::default());
        let (network, bits) = config.service_cidr;
        let services = Services::new(network, bits, config.node_ports.clone());
        let special = Special { authorizer: authorizer.clone(), tokens: tokens.clone(), services };
        let kubelet_client = pki.identity("apiserver-kubelet-client", &KUBELET_CLIENT, env.now())?;
        let dialer = Arc::new(Dialer::new(pki.ca_pem(), &kubelet_client).map_err(StartError::Tls)?);
        let caller = admission::webhook::Caller::new(env.clone(), dialer.clone());
        let once_there = admission::RegistryOnceThere::default();
        let parts = admission::Parts { caller, authorizer: authorizer.clone(), registry: once_there.clone() };
        let plugins = admission::build(&config.admission, &parts)?;
        let registry = Registry::new(env.clone(), store, plugins, special, dialer.clone());
        once_there.get_or_init(|| Arc::downgrade(&registry));
        let aggregator = Aggregator::new(pki.front_proxy_identity(&aggregation::FRONT_PROXY, env.now())?);
        let metrics = Metrics::default();
        let server = Arc::new(Server {
            env: env.clone(),
            config,
            registry,
            authorizer,
            tokens,
            metrics,
            dialer,
            aggregator,
            openapi: Documents::default(),
            kept: Kept::default(),
            pki,
        });
        registry::definitions::start(&server.registry).await.map_err(StartError::Bootstrap)?;
        bootstrap::reconcile(&server).await.map_err(StartError::Bootstrap)?;
        aggregation::start(&server).await.map_err(StartError::Bootstrap)?;
        Ok(server)
    }

    /// The surroundings.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// How it is set up.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Keys and certificates.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// What other servers serve.
    pub fn aggregator(&self) -> &Aggregator {
        &self.aggregator
    }

    /// The registry.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The address of the `kubernetes` service: the first of the range.
    pub fn service_address(&self) -> std::net::Ipv4Addr {
        std::net::Ipv4Addr::from(u32::from(self.config.service_cidr.0) + 1)
    }

    /// A client in this process that acts as `user`, with that user's rights and no more.
    pub fn client(self: &Arc<Self>, user: User, user_agent: &str) -> Client {
        Client::new(Arc::new(InProcess { server: self.clone(), user, user_agent: user_agent.to_owned() }))
    }

    /// Refuses what `question` asks for unless it is allowed (403).
    pub fn authorize(&self, question: &Question) -> Result<(), Status> {
        authz::check(&*self.authorizer, question, &*self.registry)
    }

    fn tls(&self) -> Result<TlsAcceptor, StartError> {
        let failed = |error: &dyn std::fmt::Display| StartError::Tls(error.to_string());
        let mut hosts: Vec<String> = IN_CLUSTER.map(str::to_owned).to_vec();
        hosts.push(format!("kubernetes.default.svc.{}", self.config.cluster_domain));
        hosts.extend(["localhost".to_owned(), "127.0.0.1".to_owned(), self.service_address().to_string()]);
        hosts.extend(self.config.hosts.iter().cloned());
        hosts.push(self.config.advertise.to_string());
        hosts.dedup();
        let subject = Subject { name: "kube-apiserver", groups: &[], hosts: &hosts };
        let identity = self.pki.identity("apiserver", &subject, self.env.now())?;
        let (chain, key) = identity.to_der()?;
        let ca = pki::Identity { cert_pem: self.pki.ca_pem().to_owned(), key_pem: identity.key_pem.clone() };
        let mut roots = RootCertStore::empty();
        for certificate in ca.to_der()?.0 {
            roots.add(certificate).map_err(|error| failed(&error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| failed(&error))?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| failed(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// As whom the server talks to kubelets.
pub(crate) const KUBELET_CLIENT: Subject =
    Subject { name: "kube-apiserver-kubelet-client", groups: &[], hosts: &[] };

/// A caller in this process: authorized like any other.
struct InProcess {
    server: Arc<Server>,
    user: User,
    user_agent: String,
}

impl Transport for InProcess {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Reply, Status>> {
        Box::pin(async move {
            let named = decapod_api::selector::FieldSelector::parse(&request.options.field_selector).ok();
            let selected =
                named.as_ref().and_then(|selector| selector.required("metadata.name")).unwrap_or_default();
            let what = What::Resource {
                verb: request.verb.as_str(),
                group: &request.resource.group,
                resource: &request.resource.resource,
                subresource: &request.subresource,
                namespace: &request.namespace,
                name: if request.name.is_empty() { selected } else { &request.name },
            };
            self.server.authorize(&Question { user: &self.user, what })?;
            let known = self.server.aggregator.known();
            let (group, version) = (&request.resource.group, &request.resource.version);
            if let Some((registered, remote)) = known.remote(group, version) {
                return aggregation::call(&self.server, registered, remote, &self.user, request).await;
            }
            let context = Context::new(self.user.clone(), self.user_agent.clone());
            self.server.registry.handle(&context, request, Media::Json).await
        })
    }
}
