//! Gives a volume's files to a pod's group (pkg/volume/volume_linux.go).

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

/// What the group may do with files, and with directories, where new files are the group's as well.
const FILE_BITS: u32 = 0o660;
const READ_ONLY_FILE_BITS: u32 = 0o440;
const DIRECTORY_BITS: u32 = 0o2110;

/// Gives everything at and below `path` to the group `gid`. With `only_if_root_differs` nothing is done when the
/// directory itself is right already (fsGroupChangePolicy `OnRootMismatch`).
pub fn set_group(path: &Path, gid: u32, read_only: bool, only_if_root_differs: bool) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let wanted = bits(read_only) | DIRECTORY_BITS;
    let right = metadata.gid() == gid && metadata.permissions().mode() & wanted == wanted;
    if only_if_root_differs && right {
        return Ok(());
    }
    // The top last: it tells whether all below has been done.
    set_below(path, gid, read_only)?;
    set_one(path, &metadata, gid, read_only)
}

fn set_below(path: &Path, gid: u32, read_only: bool) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            set_below(&entry.path(), gid, read_only)?;
        }
        set_one(&entry.path(), &metadata, gid, read_only)?;
    }
    Ok(())
}

fn set_one(path: &Path, metadata: &fs::Metadata, gid: u32, read_only: bool) -> io::Result<()> {
    if metadata.gid() != gid {
        lchown(path, None, Some(gid))?;
    }
    if metadata.is_symlink() {
        return Ok(());
    }
    let more = if metadata.is_dir() { bits(read_only) | DIRECTORY_BITS } else { bits(read_only) };
    let mode = metadata.permissions().mode() & 0o7777;
    // A change of group takes the setgid bit away.
    if mode | more != mode || metadata.is_dir() {
        fs::set_permissions(path, fs::Permissions::from_mode(mode | more))?;
    }
    Ok(())
}

fn bits(read_only: bool) -> u32 {
    if read_only { READ_ONLY_FILE_BITS } else { FILE_BITS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_below_gets_the_bits() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("d")).unwrap();
        fs::write(directory.path().join("d/f"), "").unwrap();
        fs::set_permissions(directory.path().join("d/f"), fs::Permissions::from_mode(0o600)).unwrap();
        let gid = fs::metadata(directory.path()).unwrap().gid();
        set_group(directory.path(), gid, false, true).unwrap();
        let mode =
            |path: &str| fs::metadata(directory.path().join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("d") & 0o2770, mode("d/f")), (0o2770, 0o660));
    }
}
