//! Which containerd to use: a 2.2 or newer where there is one, else the distribution's.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ContainerdError, SHIM};

/// A containerd with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The daemon.
    pub containerd: PathBuf,
    /// Its shim for runc and crun.
    pub shim: PathBuf,
    /// Its own client.
    pub ctr: PathBuf,
    /// `runc` or `crun`.
    pub runtime: PathBuf,
    /// Major and minor version.
    pub version: (u32, u32),
}

/// The version that has everything.
const WANTED: (u32, u32) = (2, 2);
/// What a version brought that pods see (containerd's release notes).
const BROUGHT: [((u32, u32), &str); 4] = [
    ((2, 0), "pods in user namespaces"),
    ((2, 0), "mounts that are read-only all the way down"),
    ((2, 1), "images as volumes"),
    ((2, 2), "the real limits of pods that are resized in place"),
];

// === impl Found ===

impl Found {
    /// What it cannot do because it is too old.
    pub fn lacks(&self) -> Vec<&'static str> {
        BROUGHT.iter().filter(|(since, _)| self.version < *since).map(|(_, what)| *what).collect()
    }
}

/// The first of `dirs` and PATH that has a containerd 2.2 or newer, else the newest there is.
pub fn find(dirs: &[PathBuf]) -> Result<Found, ContainerdError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]).collect();
    let runtime =
        ["runc", "crun"].iter().find_map(|name| dirs.iter().chain(&path).find_map(|dir| program(dir, name)));
    let runtime = runtime.ok_or(ContainerdError::NoRuntime)?;
    let mut best: Option<Found> = None;
    for dir in dirs.iter().chain(&path) {
        let Some((containerd, shim, ctr)) = trio(dir) else { continue };
        let Some(version) = version(&containerd) else { continue };
        if best.as_ref().is_none_or(|best| version > best.version) {
            best = Some(Found { containerd, shim, ctr, runtime: runtime.clone(), version });
        }
        if version >= WANTED {
            break;
        }
    }
    best.ok_or(ContainerdError::Missing)
}

fn trio(dir: &Path) -> Option<(PathBuf, PathBuf, PathBuf)> {
    Some((program(dir, "containerd")?, program(dir, SHIM)?, program(dir, "ctr")?))
}

/// `name` in `dir`, or the last of `name-v…` there.
fn program(dir: &Path, name: &str) -> Option<PathBuf> {
    let plain = dir.join(name);
    if plain.is_file() {
        return Some(plain);
    }
    let prefix = format!("{name}-v");
    let versioned = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let rest = entry.file_name().to_str()?.strip_prefix(&prefix)?.to_owned();
        rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| (parts(&rest), entry.path()))
    };
    std::fs::read_dir(dir).ok()?.filter_map(versioned).max().map(|(_, path)| path)
}

/// What `containerd --version` says: `containerd SOURCE v2.2.8 COMMIT`, the distribution's without the `v`.
fn version(containerd: &Path) -> Option<(u32, u32)> {
    let output = Command::new(containerd).arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let word = text.split_whitespace().nth(2)?;
    let parts = parts(word.trim_start_matches('v'));
    Some((*parts.first()?, *parts.get(1)?))
}

fn parts(version: &str) -> Vec<u32> {
    version.split(['.', '~', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_one_lacks_is_known() {
        let found = |version| {
            let path = PathBuf::new;
            Found { containerd: path(), shim: path(), ctr: path(), runtime: path(), version }
        };
        assert!(found(WANTED).lacks().is_empty());
        assert_eq!(found((2, 1)).lacks(), ["the real limits of pods that are resized in place"]);
        assert_eq!(found((1, 6)).lacks().len(), BROUGHT.len());
    }

    #[test]
    fn versions_are_read() {
        for (text, expected) in [
            ("containerd github.com/containerd/containerd/v2 v2.2.8 abc", Some((2, 2))),
            ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+b1", Some((1, 6))),
            ("containerd", None),
        ] {
            assert_eq!(parse_version(text), expected, "{text}");
        }
    }
}
