//! Static pods: manifests in a folder of this node, and their images in the API (pkg/kubelet/config/file.go,
//! pkg/kubelet/pod/mirror_client.go).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use decapod_client::{Client, Informer};
use decapod_sys::Env;
use futures::StreamExt;
use inotify::{Inotify, WatchMask};
use k8s_openapi::api::core::v1::{Node, Pod, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, OwnerReference, Preconditions};
use ring::digest::{SHA256, digest};
use tokio::sync::watch;

use crate::pod::{CONFIG_HASH, CONFIG_MIRROR, CONFIG_SEEN, CONFIG_SOURCE, NodePod};

/// Static pods by UID.
pub type Manifests = BTreeMap<String, Pod>;

/// A manifest is of no use.
#[derive(Debug, thiserror::Error)]
enum ManifestError {
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is no pod: {source}")]
    Parse { path: PathBuf, source: serde_norway::Error },
    #[error("{0} names no pod")]
    NoName(PathBuf),
}

/// The pods of the manifests in `directory`, now and whenever they change.
pub fn watch_manifests(env: &Env, directory: PathBuf, node_name: String) -> watch::Receiver<Manifests> {
    let (sender, receiver) = watch::channel(Manifests::new());
    let clock = env.clone();
    env.supervise("manifests", move || {
        let (sender, directory, node_name, env) = (sender.clone(), directory.clone(), node_name.clone(), clock.clone());
        async move {
            if let Err(error) = follow(&env, &directory, &node_name, &sender).await {
                tracing::warn!(directory = %directory.display(), %error, "cannot watch the folder of manifests");
            }
        }
    });
    receiver
}

async fn follow(
    env: &Env,
    directory: &Path,
    node_name: &str,
    sender: &watch::Sender<Manifests>,
) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let inotify = Inotify::init()?;
    let mask = WatchMask::CLOSE_WRITE
        | WatchMask::MOVED_TO
        | WatchMask::MOVED_FROM
        | WatchMask::DELETE
        | WatchMask::DELETE_SELF;
    inotify.watches().add(directory, mask)?;
    let mut changes = inotify.into_event_stream(vec![0; 4096])?;
    let mut said = BTreeSet::new();
    loop {
        let seen = sender.borrow().clone();
        let (pods, wrong) = read_all(env, directory, node_name, &seen);
        // Once for each, however often the others change.
        wrong.difference(&said).for_each(|error| tracing::warn!(%error, "a manifest is passed over"));
        said = wrong;
        sender.send_replace(pods);
        match changes.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
            None => return Ok(()),
        }
    }
}

/// The pods of the manifests in `directory`, and what is wrong with the others.
fn read_all(
    env: &Env,
    directory: &Path,
    node_name: &str,
    before: &Manifests,
) -> (Manifests, BTreeSet<String>) {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let (mut pods, mut wrong) = (Manifests::new(), BTreeSet::new());
    for path in paths.iter().filter(|path| path.is_file() && !is_hidden(path)) {
        match read(path, node_name) {
            Ok(mut pod) => {
                let uid = pod.metadata.uid.clone().unwrap_or_default();
                let known = before
                    .get(&uid)
                    .and_then(|pod| pod.metadata.annotations.as_ref()?.get(CONFIG_SEEN).cloned());
                let seen = known.unwrap_or_else(|| env.now().to_string());
                pod.metadata.annotations.get_or_insert_default().insert(CONFIG_SEEN.to_owned(), seen);
                pods.insert(uid, pod);
            }
            Err(error) => {
                wrong.insert(error.to_string());
            }
        }
    }
    (pods, wrong)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'))
}

fn read(path: &Path, node_name: &str) -> Result<Pod, ManifestError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ManifestError::Read { path: path.into(), source })?;
    let pod: Pod =
        serde_norway::from_str(&text).map_err(|source| ManifestError::Parse { path: path.into(), source })?;
    let name = pod.metadata.name.clone().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| ManifestError::NoName(path.into()))?;
    Ok(complete(pod, &name, &text, path, node_name))
}

/// Gives a manifest's pod what the API server would: its name on this node, its UID, its defaults.
fn complete(mut pod: Pod, name: &str, text: &str, path: &Path, node_name: &str) -> Pod {
    let mut hashed =
        digest(&SHA256, format!("{node_name}\0{}\0{text}", path.display()).as_bytes()).as_ref().to_vec();
    hashed.truncate(16);
    let uid: String = hashed.iter().map(|byte| format!("{byte:02x}")).collect();
    let metadata = &mut pod.metadata;
    metadata.name = Some(format!("{name}-{}", node_name.to_lowercase()));
    metadata.namespace.get_or_insert_with(|| "default".to_owned());
    metadata.uid = Some(uid.clone());
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(CONFIG_HASH.to_owned(), uid);
    annotations.insert(CONFIG_SOURCE.to_owned(), "file".to_owned());
    let spec = pod.spec.get_or_insert_default();
    spec.node_name = Some(node_name.to_owned());
    spec.restart_policy.get_or_insert_with(|| "Always".to_owned());
    spec.dns_policy.get_or_insert_with(|| "ClusterFirst".to_owned());
    spec.termination_grace_period_seconds.get_or_insert(30);
    spec.security_context.get_or_insert_default();
    // The node's own pods are not evicted from it.
    let tolerations = spec.tolerations.get_or_insert_default();
    tolerations.push(Toleration {
        effect: Some("NoExecute".to_owned()),
        operator: Some("Exists".to_owned()),
        ..Toleration::default()
    });
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        container.termination_message_path.get_or_insert_with(|| "/dev/termination-log".to_owned());
        container.termination_message_policy.get_or_insert_with(|| "File".to_owned());
    }
    pod
}

/// Sees to it that the API shows the static pods, and only those that there are.
pub async fn mirror(client: &Client, node_name: &str, manifests: &Manifests, pods: &Informer<Pod>) {
    let shown: Vec<NodePod> = pods.list().into_iter().map(NodePod::new).filter(NodePod::is_mirror).collect();
    for pod in &shown {
        let wanted = pod.annotation(CONFIG_MIRROR).is_some_and(|hash| manifests.contains_key(hash));
        if !wanted {
            let options = DeleteOptions {
                grace_period_seconds: Some(0),
                preconditions: Some(Preconditions {
                    uid: Some(pod.uid().to_owned()),
                    resource_version: None,
                }),
                ..DeleteOptions::default()
            };
            report(client.delete::<Pod>(pod.namespace(), pod.name(), &options).await);
        }
    }
    for (uid, pod) in manifests {
        let is_shown =
            shown.iter().any(|shown| shown.annotation(CONFIG_MIRROR) == Some(uid) && !shown.is_deleted());
        if !is_shown {
            report(create(client, node_name, uid, pod).await);
        }
    }
}

async fn create(client: &Client, node_name: &str, uid: &str, pod: &Pod) -> Result<(), decapod_api::Status> {
    let node: Node = client.get("", node_name).await?;
    let mut mirror = pod.clone();
    mirror.metadata.uid = None;
    mirror.metadata.annotations.get_or_insert_default().insert(CONFIG_MIRROR.to_owned(), uid.to_owned());
    mirror.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node_name.to_owned(),
        uid: node.metadata.uid.unwrap_or_default(),
        controller: Some(true),
        ..OwnerReference::default()
    }]);
    client.create(&mirror).await.map(drop)
}

fn report(result: Result<(), decapod_api::Status>) {
    if let Err(error) = result
        && !matches!(error.code, 404 | 409)
    {
        tracing::warn!(%error, "cannot show a static pod in the API");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_is_none_is_named_and_the_others_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("a.yaml", "{\"kind\": \"Pod\", \"metadata\": {");
        write("b.yaml", "metadata: {}");
        write("c.yaml", "metadata: {name: c}\nspec: {containers: [{name: c, image: i}]}");
        let (pods, wrong) = read_all(&Env::simulated(1), directory.path(), "one", &Manifests::new());
        assert_eq!(pods.len(), 1);
        let wrong: Vec<String> = wrong.into_iter().collect();
        assert!(wrong[0].contains("a.yaml is no pod: ") && !wrong[0].contains('\n'), "{wrong:?}");
        assert!(wrong[1].ends_with("b.yaml names no pod") && wrong.len() == 2, "{wrong:?}");
    }

    #[tokio::test]
    async fn manifests_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let env = Env::system();
        let mut manifests = watch_manifests(&env, directory.path().to_path_buf(), "Node1".into());
        let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: a\n    image: b\n";
        std::fs::write(directory.path().join("web.yaml"), text).unwrap();
        let found = manifests.wait_for(|pods| pods.len() == 1).await.unwrap().clone();
        let pod = NodePod::new(found.into_values().next().unwrap());
        assert_eq!((pod.name(), pod.namespace(), pod.is_static()), ("web-node1", "default", true));
        std::fs::remove_file(directory.path().join("web.yaml")).unwrap();
        manifests.wait_for(Manifests::is_empty).await.unwrap();
        env.shutdown().await;
    }
}
