//! Parts of volumes in containers: opened so that no link leads out of the volume, and mounted by descriptor, so that
//! nobody can swap what was checked (pkg/volume/util/subpath, CVE-2017-1002101 and CVE-2021-25741).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use decapod_sys::mount::Mounts;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::Errno;

/// Shows the part `sub_path` of `volume` at `target`, made a directory where it is not there. `target` is returned;
/// it is mounted once only.
pub fn bind(mounts: &dyn Mounts, volume: &Path, sub_path: &str, target: &Path) -> io::Result<PathBuf> {
    let there = mounts.list()?;
    if there.iter().any(|mount| mount.target == target) {
        return Ok(target.to_path_buf());
    }
    let source = open(volume, sub_path)?;
    let is_directory = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&source)?.st_mode).is_dir();
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if is_directory {
        std::fs::create_dir_all(target)?;
    } else {
        std::fs::OpenOptions::new().create(true).append(true).open(target)?;
    }
    let by_descriptor = PathBuf::from(format!("/proc/self/fd/{}", source.as_raw_fd()));
    mounts.bind(&by_descriptor, target)?;
    Ok(target.to_path_buf())
}

/// Opens `sub_path` below `volume`, making the directories that are not there.
fn open(volume: &Path, sub_path: &str) -> io::Result<OwnedFd> {
    let path = Path::new(sub_path);
    if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("subPath {sub_path:?} must stay within its volume"),
        ));
    }
    let root = openat2(CWD, volume, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::empty())?;
    match beneath(&root, path) {
        Err(Errno::NOENT) => {}
        found => return Ok(found?),
    }
    let permissions = Mode::from_raw_mode(rustix::fs::fstat(&root)?.st_mode & 0o777);
    let mut made = PathBuf::new();
    let mut parent = beneath(&root, Path::new("."))?;
    for part in path.components().filter(|part| matches!(part, Component::Normal(_))) {
        made.push(part);
        match beneath(&root, &made) {
            Err(Errno::NOENT) => mkdirat(&parent, part.as_os_str(), permissions)?,
            found => {
                parent = found?;
                continue;
            }
        }
        parent = beneath(&root, &made)?;
    }
    Ok(parent)
}

fn beneath(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use decapod_sys::mount::RecordingMounts;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_do_not_lead_out() {
        let directory = tempfile::tempdir().unwrap();
        let volume = directory.path().join("v");
        std::fs::create_dir_all(volume.join("d")).unwrap();
        std::fs::write(volume.join("d/f"), "").unwrap();
        symlink("/etc", volume.join("out")).unwrap();
        symlink("d", volume.join("in")).unwrap();
        let target = directory.path().join("t");
        let cases = [
            ("d", true),
            ("in/f", true),
            ("new/deep", true),
            ("out", false),
            ("out/passwd", false),
            ("../v", false),
            ("/etc", false),
        ];
        for (index, (path, fine)) in cases.into_iter().enumerate() {
            let bound = bind(&RecordingMounts::default(), &volume, path, &target.join(index.to_string()));
            assert_eq!(bound.is_ok(), fine, "{path}: {bound:?}");
        }
        assert!(volume.join("new/deep").is_dir());
    }
}
