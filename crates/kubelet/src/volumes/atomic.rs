//! Files that change all at once: a directory of links into `..data`, itself a link that is swapped
//! (pkg/volume/util/atomic_writer.go).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Component, Path};

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its content.
    pub data: Vec<u8>,
    /// Its permissions, such as 0o644.
    pub mode: u32,
    /// Who owns it, if not root.
    pub uid: Option<u32>,
}

/// Files by their path below the volume.
pub type Payload = BTreeMap<String, File>;

/// The link to the present directory, and the one that takes its place.
const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Makes `directory` show `payload`; whether anything has changed. `unique` tells this writing from all before;
/// `gid` owns all files, readable by it.
pub fn write(directory: &Path, payload: &Payload, gid: Option<u32>, unique: &str) -> io::Result<bool> {
    for path in payload.keys() {
        check(path)?;
    }
    fs::create_dir_all(directory)?;
    let old = fs::read_link(directory.join(DATA)).ok();
    if let Some(old) = &old
        && is_same(&directory.join(old), payload, gid)?
    {
        return Ok(false);
    }
    let name = format!("..{unique}");
    let fresh = directory.join(&name);
    fs::DirBuilder::new().mode(0o755).create(&fresh)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))?;
    for (path, file) in payload {
        write_file(&fresh, path, file, gid)?;
    }
    if let Some(gid) = gid {
        chown(&fresh, None, Some(gid))?;
    }
    remove_if_there(&directory.join(NEW_DATA))?;
    symlink(&name, directory.join(NEW_DATA))?;
    fs::rename(directory.join(NEW_DATA), directory.join(DATA))?;
    show(directory, payload)?;
    if let Some(old) = old {
        fs::remove_dir_all(directory.join(old))?;
    }
    Ok(true)
}

/// Paths come from users: they stay below the volume and out of our own names.
fn check(path: &str) -> io::Result<()> {
    let normal = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !normal || path.starts_with("..") {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("invalid path {path:?}")));
    }
    Ok(())
}

fn write_file(fresh: &Path, path: &str, file: &File, gid: Option<u32>) -> io::Result<()> {
    let target = fresh.join(path);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
        let mut below = fresh.to_path_buf();
        for part in parent.strip_prefix(fresh).unwrap_or(Path::new("")) {
            below.push(part);
            fs::set_permissions(&below, fs::Permissions::from_mode(0o755))?;
            if gid.is_some() {
                chown(&below, None, gid)?;
            }
        }
    }
    fs::write(&target, &file.data)?;
    if file.uid.is_some() || gid.is_some() {
        chown(&target, file.uid, gid)?;
    }
    // After its owner, for a change of owner takes bits away.
    fs::set_permissions(&target, fs::Permissions::from_mode(mode(file, gid)))
}

fn mode(file: &File, gid: Option<u32>) -> u32 {
    if gid.is_some() { file.mode | 0o040 } else { file.mode }
}

fn is_same(directory: &Path, payload: &Payload, gid: Option<u32>) -> io::Result<bool> {
    let mut there = BTreeSet::new();
    collect(directory, Path::new(""), &mut there)?;
    if !there.iter().eq(payload.keys()) {
        return Ok(false);
    }
    for (path, file) in payload {
        let metadata = fs::metadata(directory.join(path))?;
        let same_mode = metadata.permissions().mode() & 0o7777 == mode(file, gid);
        if metadata.len() != file.data.len() as u64
            || !same_mode
            || file.uid.is_some_and(|uid| uid != metadata.uid())
        {
            return Ok(false);
        }
        if fs::read(directory.join(path))? != file.data {
            return Ok(false);
        }
    }
    Ok(true)
}

fn collect(directory: &Path, below: &Path, found: &mut BTreeSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &path, found)?;
        } else {
            found.insert(path.display().to_string());
        }
    }
    Ok(())
}

/// Makes the links that users see, and takes away those of what is no more.
fn show(directory: &Path, payload: &Payload) -> io::Result<()> {
    let tops: BTreeSet<&str> = payload.keys().filter_map(|path| path.split('/').next()).collect();
    for top in &tops {
        match symlink(Path::new(DATA).join(top), directory.join(top)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !tops.contains(name.as_str()) && entry.file_type()?.is_symlink() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |data: &str| File { data: data.into(), mode: 0o644, uid: None };
        files.iter().map(|(path, data)| ((*path).to_owned(), file(data))).collect()
    }

    #[test]
    fn files_change_together_and_stay_when_alike() {
        let directory = tempfile::tempdir().unwrap();
        let volume = directory.path().join("v");
        assert!(write(&volume, &payload(&[("a", "1"), ("d/b", "2")]), None, "1").unwrap());
        assert_eq!(fs::read_to_string(volume.join("d/b")).unwrap(), "2");
        assert!(!write(&volume, &payload(&[("a", "1"), ("d/b", "2")]), None, "2").unwrap());
        assert!(write(&volume, &payload(&[("a", "3")]), None, "3").unwrap());
        assert_eq!(fs::read_to_string(volume.join("a")).unwrap(), "3");
        assert!(!volume.join("d").exists() && !volume.join("..1").exists());
        assert_eq!(fs::read_link(volume.join(DATA)).unwrap(), Path::new("..3"));
    }

    #[test]
    fn paths_stay_below() {
        let directory = tempfile::tempdir().unwrap();
        for path in ["../a", "/a", "a/../../b", "..a", ""] {
            assert!(write(directory.path(), &payload(&[(path, "1")]), None, "1").is_err(), "{path}");
        }
    }
}
