//! What a containerd of ours leaves behind when it is killed: shims, and what it keeps outside our folder in places that
//! it cannot be told: sockets of shims (containerd's pkg/shim, `SocketAddress`) and notes about connected pods (libcni).

use std::io;
use std::path::{Path, PathBuf};

use decapod_sys::mount::{KernelMounts, Mounts};
use decapod_sys::process;
use rustix::process::Pid;

use super::SHIM;

/// Where shims make their sockets, for every containerd of the machine.
const SOCKETS: &str = "/run/containerd/s";
/// Where libcni, in every containerd, notes the pods that it has connected (its `CacheDir`).
const RESULTS: &str = "/var/lib/cni/results";
/// The folders on the way there; the outer one first.
const OUTSIDE: [&str; 4] = ["/run/containerd", SOCKETS, "/var/lib/cni", RESULTS];
/// The file that names those of them that were not there before us.
const MADE: &str = "made-dirs";

/// Notes below `dir` which folders will be made outside of it.
pub fn note(dir: &Path) -> io::Result<()> {
    let missing: Vec<&str> = OUTSIDE.into_iter().filter(|made| !Path::new(made).exists()).collect();
    if missing.is_empty() { Ok(()) } else { std::fs::write(dir.join(MADE), missing.join("\n")) }
}

/// Ends the shims of the containerd below `dir`, which no longer runs, and takes away what it has kept outside of
/// `dir`. Their containers go on. Fine if there is nothing.
pub fn remove(dir: &Path) -> io::Result<()> {
    for pid in shims(&dir.join("containerd.sock"))? {
        process::kill_and_wait(pid);
    }
    for socket in sockets(dir) {
        gone(std::fs::remove_file(socket))?;
    }
    for (note, namespace) in connected(dir, Path::new(RESULTS)) {
        if !namespace.starts_with(dir) {
            KernelMounts.unmount(&namespace)?;
            gone(std::fs::remove_file(namespace))?;
        }
        gone(std::fs::remove_file(note))?;
    }
    let made = std::fs::read_to_string(dir.join(MADE)).unwrap_or_default();
    for made in OUTSIDE.into_iter().rev().filter(|known| made.lines().any(|line| line == *known)) {
        match std::fs::remove_dir(made) {
            // Another containerd uses it by now.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            result => gone(result)?,
        }
    }
    gone(std::fs::remove_file(dir.join(MADE)))
}

/// The shims that were started to answer the containerd at `socket`.
fn shims(socket: &Path) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let pid = path.file_name().and_then(|name| name.to_str()?.parse().ok()).and_then(Pid::from_raw);
        // One that ends meanwhile has no command line.
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        if let Some(pid) = pid.filter(|_| is_shim_of(&line, socket)) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Whether a command line, arguments ended by zeros, is that of a shim which answers `socket`.
fn is_shim_of(line: &[u8], socket: &Path) -> bool {
    let mut arguments = line.split(|byte| *byte == 0);
    let socket = socket.as_os_str().as_encoded_bytes();
    // A program that was found through a link runs under the name of its file, which may say the version, too.
    let name = arguments.next().and_then(|program| program.rsplit(|byte| *byte == b'/').next());
    name.is_some_and(|name| name.starts_with(SHIM.as_bytes()))
        && arguments.any(|argument| argument == b"-address")
        && arguments.next() == Some(socket)
}

/// The folders of the containers that the containerd below `dir` has, or had when it was killed.
fn bundles(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let bundles = dir.join("state/io.containerd.runtime.v2.task/k8s.io");
    std::fs::read_dir(bundles).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The sockets of shims outside of `dir`, as the folders of their containers name them: in `bootstrap.json`, or before
/// containerd 2 in `address`.
fn sockets(dir: &Path) -> Vec<PathBuf> {
    let files = bundles(dir).flat_map(|bundle| ["bootstrap.json", "address"].map(|name| bundle.join(name)));
    let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
    texts.filter_map(|text| socket_in(&text)).filter(|path| path.starts_with(SOCKETS)).collect()
}

/// The notes in `results` of pods of ours, each with the path of the pod's network namespace, which is below `dir` if
/// containerd can be told where to keep it (1.7 and newer).
fn connected(dir: &Path, results: &Path) -> Vec<(PathBuf, PathBuf)> {
    let ids: Vec<PathBuf> = bundles(dir).collect();
    let is_ours =
        |id: &str, namespace: &Path| namespace.starts_with(dir) || ids.iter().any(|path| path.ends_with(id));
    let notes = std::fs::read_dir(results).into_iter().flatten().flatten().map(|entry| entry.path());
    let read = |note: PathBuf| {
        let text = std::fs::read(&note).ok()?;
        let fields: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let namespace = PathBuf::from(fields["netns"].as_str()?);
        is_ours(fields["containerId"].as_str()?, &namespace).then_some((note, namespace))
    };
    notes.filter_map(read).collect()
}

/// The path in the first `unix://…` of a text.
fn socket_in(text: &str) -> Option<PathBuf> {
    let (_, rest) = text.split_once("unix://")?;
    rest.split(['"', '\n']).next().map(PathBuf::from)
}

/// Whether it is done, or there was nothing to do.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_is_known_by_its_socket() {
        let line = |text: &str| text.replace(' ', "\0").into_bytes();
        let socket = Path::new("/d/containerd.sock");
        for (text, ours) in [
            ("/bin/containerd-shim-runc-v2 -namespace k8s.io -id x -address /d/containerd.sock", true),
            ("/bin/containerd-shim-runc-v2 -namespace k8s.io -address /d/containerd.sock -id x", true),
            ("/bin/containerd-shim-runc-v2 -namespace k8s.io -address /e/containerd.sock", false),
            ("/bin/containerd-shim-runc-v2-v2.2.8 -id x -address /d/containerd.sock", true),
            ("vi containerd-shim-runc-v2 -address /d/containerd.sock", false),
            ("/bin/containerd-shim-runc-v2 -address", false),
            ("", false),
        ] {
            assert_eq!(is_shim_of(&line(text), socket), ours, "{text}");
        }
    }

    #[test]
    fn sockets_are_read_from_either_form() {
        for (text, socket) in [
            (r#"{"version":3,"address":"unix:///run/containerd/s/ab","protocol":"ttrpc"}"#, Some("ab")),
            ("unix:///run/containerd/s/cd", Some("cd")),
            ("{}", None),
        ] {
            assert_eq!(socket_in(text), socket.map(|name| Path::new(SOCKETS).join(name)));
        }
    }

    #[test]
    fn pods_of_ours_are_known_by_their_namespace_or_their_folder() -> io::Result<()> {
        let scratch = tempfile::tempdir()?;
        let (dir, results) = (scratch.path().join("containerd"), scratch.path().join("results"));
        std::fs::create_dir_all(dir.join("state/io.containerd.runtime.v2.task/k8s.io/by-folder"))?;
        std::fs::create_dir(&results)?;
        let inside = dir.join("state/netns/a").display().to_string();
        for (id, namespace) in
            [("inside", inside.as_str()), ("by-folder", "/run/netns/b"), ("other", "/run/netns/c")]
        {
            let note = serde_json::json!({"containerId": id, "netns": namespace, "result": {}});
            std::fs::write(results.join(format!("net-{id}-eth0")), note.to_string())?;
        }
        std::fs::write(results.join("torn"), "{")?;
        let mut found = connected(&dir, &results);
        found.sort();
        let expected = [("net-by-folder-eth0", "/run/netns/b"), ("net-inside-eth0", &inside)];
        assert_eq!(found, expected.map(|(note, namespace)| (results.join(note), PathBuf::from(namespace))));
        Ok(())
    }
}
