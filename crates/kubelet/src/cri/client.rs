//! A client of CRI v1 over a Unix socket.

use std::path::Path;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};
use tonic_prost::ProstCodec;

use super::types::*;

/// How long the runtime may take for what is quick; as upstream's runtimeRequestTimeout.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long an image may take to be pulled when nothing is known of its progress.
const PULL_TIMEOUT: Duration = Duration::from_secs(3600);
/// What a list of all containers of a node may take.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The container runtime refused or failed; shown as Go's gRPC shows it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("rpc error: code = {code:?} desc = {message}")]
pub struct CriError {
    /// Which kind of failure.
    pub code: tonic::Code,
    /// What the runtime says.
    pub message: String,
}

/// The socket's path cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the container runtime's socket {path} cannot be used: {source}")]
pub struct ConnectError {
    path: String,
    source: tonic::transport::Error,
}

/// A client of the runtime. Cloning shares its connection, which is made when first used and again after a failure.
#[derive(Clone)]
pub struct Cri {
    channel: Channel,
}

// === impl CriError ===

impl CriError {
    /// Whether what was asked about is not there.
    pub fn is_not_found(&self) -> bool {
        self.code == tonic::Code::NotFound
    }

    /// Whether the runtime does not know the call.
    pub fn is_unimplemented(&self) -> bool {
        self.code == tonic::Code::Unimplemented
    }
}

impl From<tonic::Status> for CriError {
    fn from(status: tonic::Status) -> CriError {
        CriError { code: status.code(), message: status.message().to_owned() }
    }
}

// === impl Cri ===

impl Cri {
    /// A client of the runtime that listens, or will listen, at `socket`.
    pub fn new(socket: &Path) -> Result<Cri, ConnectError> {
        let path = socket.display().to_string();
        let endpoint = Endpoint::from_shared(format!("unix://{path}"))
            .map_err(|source| ConnectError { path, source })?
            .connect_timeout(Duration::from_secs(5));
        Ok(Cri { channel: endpoint.connect_lazy() })
    }

    async fn grpc(&self) -> Result<Grpc<Channel>, CriError> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        grpc.ready().await.map_err(|error| CriError {
            code: tonic::Code::Unavailable,
            message: format!("the container runtime does not answer: {error}"),
        })?;
        Ok(grpc)
    }

    /// One call of any service; `None` waits for as long as it takes.
    pub async fn call<Req, Res>(
        &self,
        path: &'static str,
        request: Req,
        timeout: Option<Duration>,
    ) -> Result<Res, CriError>
    where
        Req: Message + Send + Sync + 'static,
        Res: Message + Default + Send + Sync + 'static,
    {
        let mut request = Request::new(request);
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        let codec = ProstCodec::<Req, Res>::default();
        let reply = self.grpc().await?.unary(request, PathAndQuery::from_static(path), codec).await?;
        Ok(reply.into_inner())
    }

    /// One call of any service that is answered with a stream.
    pub async fn stream<Req, Res>(
        &self,
        request: Request<Req>,
        path: &'static str,
    ) -> Result<Streaming<Res>, CriError>
    where
        Req: Message + Send + Sync + 'static,
        Res: Message + Default + Send + Sync + 'static,
    {
        let codec = ProstCodec::<Req, Res>::default();
        let reply =
            self.grpc().await?.server_streaming(request, PathAndQuery::from_static(path), codec).await?;
        Ok(reply.into_inner())
    }

    /// Which runtime this is.
    pub async fn version(&self) -> Result<VersionResponse, CriError> {
        let request = VersionRequest { version: "v1".to_owned() };
        self.call("/runtime.v1.RuntimeService/Version", request, Some(TIMEOUT)).await
    }

    /// Whether the runtime and its network are ready.
    pub async fn status(&self) -> Result<StatusResponse, CriError> {
        self.call("/runtime.v1.RuntimeService/Status", StatusRequest { verbose: false }, Some(TIMEOUT)).await
    }

    /// Tells the runtime the pod network of this node; only for runtimes that write their own CNI configuration.
    pub async fn update_runtime_config(&self, pod_cidr: &str) -> Result<(), CriError> {
        let network_config = Some(NetworkConfig { pod_cidr: pod_cidr.to_owned() });
        let request = UpdateRuntimeConfigRequest { runtime_config: Some(RuntimeConfig { network_config }) };
        let path = "/runtime.v1.RuntimeService/UpdateRuntimeConfig";
        self.call::<_, UpdateRuntimeConfigResponse>(path, request, Some(TIMEOUT)).await.map(drop)
    }

    /// Makes and starts a sandbox; its id. Twice the usual time, as upstream, for networks can be slow.
    pub async fn run_sandbox(
        &self,
        config: PodSandboxConfig,
        runtime_handler: &str,
    ) -> Result<String, CriError> {
        let request =
            RunPodSandboxRequest { config: Some(config), runtime_handler: runtime_handler.to_owned() };
        let reply: RunPodSandboxResponse =
            self.call("/runtime.v1.RuntimeService/RunPodSandbox", request, Some(TIMEOUT * 2)).await?;
        Ok(reply.pod_sandbox_id)
    }

    /// Stops a sandbox and all its containers at once, and frees its network. Fine if it is stopped or gone.
    pub async fn stop_sandbox(&self, id: &str) -> Result<(), CriError> {
        let request = StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        let path = "/runtime.v1.RuntimeService/StopPodSandbox";
        gone_is_fine(self.call::<_, StopPodSandboxResponse>(path, request, Some(TIMEOUT)).await)
    }

    /// Removes a sandbox and its containers. Fine if it is gone.
    pub async fn remove_sandbox(&self, id: &str) -> Result<(), CriError> {
        let request = RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        let path = "/runtime.v1.RuntimeService/RemovePodSandbox";
        gone_is_fine(self.call::<_, RemovePodSandboxResponse>(path, request, Some(TIMEOUT)).await)
    }

    /// How a sandbox is.
    pub async fn sandbox_status(&self, id: &str) -> Result<Option<PodSandboxStatus>, CriError> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
        let reply: PodSandboxStatusResponse =
            self.call("/runtime.v1.RuntimeService/PodSandboxStatus", request, Some(TIMEOUT)).await?;
        Ok(reply.status)
    }

    /// The sandboxes that `filter` selects.
    pub async fn list_sandboxes(&self, filter: PodSandboxFilter) -> Result<Vec<PodSandbox>, CriError> {
        let request = ListPodSandboxRequest { filter: Some(filter) };
        let reply: ListPodSandboxResponse =
            self.call("/runtime.v1.RuntimeService/ListPodSandbox", request, Some(TIMEOUT)).await?;
        Ok(reply.items)
    }

    /// Makes a container; its id.
    pub async fn create_container(
        &self,
        sandbox_id: &str,
        config: ContainerConfig,
        sandbox: PodSandboxConfig,
    ) -> Result<String, CriError> {
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox_id.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox),
        };
        let reply: CreateContainerResponse =
            self.call("/runtime.v1.RuntimeService/CreateContainer", request, Some(TIMEOUT)).await?;
        Ok(reply.container_id)
    }

    /// Starts a container.
    pub async fn start_container(&self, id: &str) -> Result<(), CriError> {
        let request = StartContainerRequest { container_id: id.to_owned() };
        let path = "/runtime.v1.RuntimeService/StartContainer";
        self.call::<_, StartContainerResponse>(path, request, Some(TIMEOUT)).await.map(drop)
    }

    /// Asks a container to stop, and kills it after `grace_seconds`. Fine if it is gone.
    pub async fn stop_container(&self, id: &str, grace_seconds: i64) -> Result<(), CriError> {
        let request = StopContainerRequest { container_id: id.to_owned(), timeout: grace_seconds };
        let timeout = TIMEOUT + Duration::from_secs(u64::try_from(grace_seconds).unwrap_or(0));
        let path = "/runtime.v1.RuntimeService/StopContainer";
        gone_is_fine(self.call::<_, StopContainerResponse>(path, request, Some(timeout)).await)
    }

    /// Removes a container. Fine if it is gone.
    pub async fn remove_container(&self, id: &str) -> Result<(), CriError> {
        let request = RemoveContainerRequest { container_id: id.to_owned() };
        let path = "/runtime.v1.RuntimeService/RemoveContainer";
        gone_is_fine(self.call::<_, RemoveContainerResponse>(path, request, Some(TIMEOUT)).await)
    }

    /// The containers that `filter` selects.
    pub async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>, CriError> {
        let request = ListContainersRequest { filter: Some(filter) };
        let reply: ListContainersResponse =
            self.call("/runtime.v1.RuntimeService/ListContainers", request, Some(TIMEOUT)).await?;
        Ok(reply.containers)
    }

    /// How a container is.
    pub async fn container_status(&self, id: &str) -> Result<Option<ContainerStatus>, CriError> {
        let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        let reply: ContainerStatusResponse =
            self.call("/runtime.v1.RuntimeService/ContainerStatus", request, Some(TIMEOUT)).await?;
        Ok(reply.status)
    }

    /// Changes a running container's limits.
    pub async fn update_resources(&self, id: &str, linux: LinuxContainerResources) -> Result<(), CriError> {
        let request = UpdateContainerResourcesRequest {
            container_id: id.to_owned(),
            linux: Some(linux),
            ..UpdateContainerResourcesRequest::default()
        };
        let path = "/runtime.v1.RuntimeService/UpdateContainerResources";
        self.call::<_, UpdateContainerResourcesResponse>(path, request, Some(TIMEOUT)).await.map(drop)
    }

    /// Has the runtime open the container's log file anew, after it was moved away.
    pub async fn reopen_log(&self, id: &str) -> Result<(), CriError> {
        let request = ReopenContainerLogRequest { container_id: id.to_owned() };
        let path = "/runtime.v1.RuntimeService/ReopenContainerLog";
        self.call::<_, ReopenContainerLogResponse>(path, request, Some(TIMEOUT)).await.map(drop)
    }

    /// Runs a command in a container to its end.
    pub async fn exec_sync(
        &self,
        id: &str,
        cmd: Vec<String>,
        timeout: Duration,
    ) -> Result<ExecSyncResponse, CriError> {
        let seconds = timeout.as_secs() as i64;
        let request = ExecSyncRequest { container_id: id.to_owned(), cmd, timeout: seconds };
        let limit = (!timeout.is_zero()).then(|| timeout + TIMEOUT);
        self.call("/runtime.v1.RuntimeService/ExecSync", request, limit).await
    }

    /// Where a stream to a command that is run in a container can be opened, once.
    pub async fn exec(&self, request: ExecRequest) -> Result<String, CriError> {
        let reply: ExecResponse =
            self.call("/runtime.v1.RuntimeService/Exec", request, Some(TIMEOUT)).await?;
        Ok(reply.url)
    }

    /// Where a stream to a container's own process can be opened, once.
    pub async fn attach(&self, request: AttachRequest) -> Result<String, CriError> {
        let reply: AttachResponse =
            self.call("/runtime.v1.RuntimeService/Attach", request, Some(TIMEOUT)).await?;
        Ok(reply.url)
    }

    /// Where streams to ports of a sandbox can be opened, once.
    pub async fn port_forward(&self, request: PortForwardRequest) -> Result<String, CriError> {
        let reply: PortForwardResponse =
            self.call("/runtime.v1.RuntimeService/PortForward", request, Some(TIMEOUT)).await?;
        Ok(reply.url)
    }

    /// What running containers use.
    pub async fn container_stats(
        &self,
        filter: ContainerStatsFilter,
    ) -> Result<Vec<ContainerStats>, CriError> {
        let request = ListContainerStatsRequest { filter: Some(filter) };
        let reply: ListContainerStatsResponse =
            self.call("/runtime.v1.RuntimeService/ListContainerStats", request, Some(TIMEOUT)).await?;
        Ok(reply.stats)
    }

    /// Events of containers, from now on.
    pub async fn container_events(&self) -> Result<Streaming<ContainerEventResponse>, CriError> {
        self.stream(Request::new(GetEventsRequest {}), "/runtime.v1.RuntimeService/GetContainerEvents").await
    }

    /// All images.
    pub async fn list_images(&self) -> Result<Vec<Image>, CriError> {
        let reply: ListImagesResponse = self
            .call("/runtime.v1.ImageService/ListImages", ListImagesRequest { filter: None }, Some(TIMEOUT))
            .await?;
        Ok(reply.images)
    }

    /// One image; `None` if it is not there.
    pub async fn image_status(&self, image: ImageSpec) -> Result<Option<Image>, CriError> {
        let request = ImageStatusRequest { image: Some(image), verbose: false };
        let reply: ImageStatusResponse =
            self.call("/runtime.v1.ImageService/ImageStatus", request, Some(TIMEOUT)).await?;
        Ok(reply.image)
    }

    /// Pulls an image; its reference.
    pub async fn pull_image(
        &self,
        image: ImageSpec,
        auth: Option<AuthConfig>,
        sandbox: Option<PodSandboxConfig>,
    ) -> Result<String, CriError> {
        let request = PullImageRequest { image: Some(image), auth, sandbox_config: sandbox };
        let reply: PullImageResponse =
            self.call("/runtime.v1.ImageService/PullImage", request, Some(PULL_TIMEOUT)).await?;
        Ok(reply.image_ref)
    }

    /// Removes an image. Fine if it is gone.
    pub async fn remove_image(&self, image: ImageSpec) -> Result<(), CriError> {
        let request = RemoveImageRequest { image: Some(image) };
        let path = "/runtime.v1.ImageService/RemoveImage";
        gone_is_fine(self.call::<_, RemoveImageResponse>(path, request, Some(TIMEOUT)).await)
    }

    /// Where images are, and how much room they take.
    pub async fn image_filesystem(&self) -> Result<ImageFsInfoResponse, CriError> {
        self.call("/runtime.v1.ImageService/ImageFsInfo", ImageFsInfoRequest {}, Some(TIMEOUT)).await
    }
}

fn gone_is_fine<T>(result: Result<T, CriError>) -> Result<(), CriError> {
    match result {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
