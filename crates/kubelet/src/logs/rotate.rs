//! Moves logs away that have grown large, and removes the oldest (pkg/kubelet/logs/container_log_manager.go).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use decapod_sys::Env;

use crate::cri::Cri;
use crate::cri::types::{ContainerFilter, ContainerState, ContainerStateValue};

/// How large a log may become, and how many files there are of it.
const SIZE_MAX: u64 = 10 << 20;
const FILES_MAX: usize = 5;
/// How often sizes are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Rotates the logs of running containers below `directory`, as long as it is not cancelled.
pub async fn keep_small(env: Env, cri: Cri, directory: PathBuf) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let below = directory.clone();
        let large = env.spawn_blocking(move || large_logs(&below)).await.unwrap_or_default();
        if !large.is_empty()
            && let Err(error) = rotate_all(&env, &cri, &large).await
        {
            tracing::warn!(%error, "cannot rotate logs");
        }
    }
}

/// The logs, `POD/CONTAINER/COUNT.log`, that have grown large.
fn large_logs(directory: &Path) -> Vec<PathBuf> {
    let below = |directory: PathBuf| std::fs::read_dir(directory).into_iter().flatten().flatten();
    let containers = below(directory.to_path_buf()).flat_map(|pod| below(pod.path()));
    let logs = containers.flat_map(|container| below(container.path()));
    let is_large =
        |entry: &std::fs::DirEntry| entry.metadata().is_ok_and(|metadata| metadata.len() > SIZE_MAX);
    let is_current = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
    logs.filter(is_large).map(|entry| entry.path()).filter(is_current).collect()
}

async fn rotate_all(env: &Env, cri: &Cri, large: &[PathBuf]) -> Result<(), RotateError> {
    let running = ContainerStateValue { state: ContainerState::Running as i32 };
    let containers =
        cri.list_containers(ContainerFilter { state: Some(running), ..ContainerFilter::default() }).await?;
    for container in containers {
        let Some(status) = cri.container_status(&container.id).await? else { continue };
        let path = PathBuf::from(&status.log_path);
        if !large.contains(&path) {
            continue;
        }
        let moved = rotate(&path, &env.now().strftime("%Y%m%d-%H%M%S").to_string())?;
        if let Err(error) = cri.reopen_log(&container.id).await {
            // Nothing more would be written that anyone finds.
            std::fs::rename(&moved, &path)?;
            return Err(error.into());
        }
    }
    Ok(())
}

/// Moves the log at `path` away and removes the oldest before it; where it is now.
fn rotate(path: &Path, time: &str) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut old: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path.parent().unwrap_or(Path::new("/")))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&format!("{name}.")) {
            old.push(entry.path());
        }
    }
    // Their names end with their times.
    old.sort();
    // Beside the one that is moved now and the one that is written next.
    let many = (old.len() + 2).saturating_sub(FILES_MAX);
    old.iter().take(many).try_for_each(std::fs::remove_file)?;
    let moved = path.with_file_name(format!("{name}.{time}"));
    std::fs::rename(path, &moved)?;
    Ok(moved)
}

/// Logs cannot be rotated.
#[derive(Debug, thiserror::Error)]
enum RotateError {
    #[error(transparent)]
    Runtime(#[from] crate::cri::CriError),
    #[error(transparent)]
    Files(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        for hour in 10..17 {
            std::fs::write(&path, "x").unwrap();
            rotate(&path, &format!("20260101-{hour}0000")).unwrap();
        }
        let mut left: Vec<String> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "0.log.20260101-130000",
                "0.log.20260101-140000",
                "0.log.20260101-150000",
                "0.log.20260101-160000"
            ]
        );
    }
}
