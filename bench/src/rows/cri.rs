//! How long the container runtime itself takes for what a pod on the node's network needs: a sandbox, a container in it
//! and its start, one call after the other. What a kubelet takes beyond this is its own.

use std::collections::HashMap;
use std::path::Path;

use decapod_kubelet::cri::types::{
    ContainerConfig, ContainerMetadata, ImageSpec, LinuxContainerConfig, LinuxContainerSecurityContext,
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PodSandboxConfig,
    PodSandboxMetadata,
};
use decapod_kubelet::cri::{Cri, CriError};
use tokio::time::Instant;

use crate::Error;
use crate::args;
use crate::load::percentile;
use crate::results::Results;

/// Starts sandboxes with a container, one after the other.
pub async fn run(args: &args::Cri) -> Result<(), Error> {
    let cri = Cri::new(&args.socket).map_err(|error| Error::Setup(error.to_string()))?;
    let mut times_us = Vec::new();
    for n in 0..args.count {
        times_us.push(start(&cri, args, n).await.map_err(|error| Error::Server(error.to_string()))?);
    }
    times_us.sort_unstable();
    let results = Results::new(&args.place);
    results.add(&args.row, "p50", "ms", percentile(&times_us, 0.5) / 1e3)?;
    results.add(&args.row, "p90", "ms", percentile(&times_us, 0.9) / 1e3)
}

/// Starts the `n`th and removes it; how long the start took, in microseconds.
async fn start(cri: &Cri, args: &args::Cri, n: usize) -> Result<u32, CriError> {
    let sandbox = sandbox(n, &args.logs);
    let begin = Instant::now();
    let id = cri.run_sandbox(sandbox.clone(), "").await?;
    let container = cri.create_container(&id, container(&args.image), sandbox).await?;
    cri.start_container(&container).await?;
    let took_us = u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX);
    cri.stop_container(&container, 0).await?;
    cri.stop_sandbox(&id).await?;
    cri.remove_sandbox(&id).await?;
    Ok(took_us)
}

fn host_network() -> NamespaceOption {
    NamespaceOption { network: NamespaceMode::Node as i32, ..NamespaceOption::default() }
}

fn sandbox(n: usize, logs: &Path) -> PodSandboxConfig {
    let name = format!("raw-{n}");
    let security_context = LinuxSandboxSecurityContext {
        namespace_options: Some(host_network()),
        ..LinuxSandboxSecurityContext::default()
    };
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: name.clone(),
            uid: format!("{name}-uid"),
            namespace: "bench".to_owned(),
            attempt: 0,
        }),
        log_directory: logs.join(&name).display().to_string(),
        labels: HashMap::from([("bench".to_owned(), "raw".to_owned())]),
        linux: Some(LinuxPodSandboxConfig {
            security_context: Some(security_context),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    }
}

fn container(image: &str) -> ContainerConfig {
    let security_context = LinuxContainerSecurityContext {
        namespace_options: Some(host_network()),
        ..LinuxContainerSecurityContext::default()
    };
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: "c".to_owned(), attempt: 0 }),
        image: Some(ImageSpec { image: image.to_owned(), ..ImageSpec::default() }),
        command: vec!["sleep".to_owned(), "3600".to_owned()],
        log_path: "c.log".to_owned(),
        linux: Some(LinuxContainerConfig {
            security_context: Some(security_context),
            ..LinuxContainerConfig::default()
        }),
        ..ContainerConfig::default()
    }
}
