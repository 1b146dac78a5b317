//! Paths of the node in pods (pkg/volume/hostpath).

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// The path is not of the type that the pod wants, or cannot be made so.
#[derive(Debug, thiserror::Error)]
pub enum HostPathError {
    /// It is something else, or not there.
    #[error("hostPath type check failed: {path} is not {what}")]
    Type {
        /// The path.
        path: String,
        /// Such as `a directory`.
        what: &'static str,
    },
    /// It cannot be made.
    #[error("cannot make {path}: {source}")]
    Make {
        /// The path.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// There is no such type.
    #[error("hostPath type {0:?} is not known")]
    Unknown(String),
}

/// Makes sure that `path` is of type `kind`, making it where the type says so.
pub fn check(path: &Path, kind: &str) -> Result<(), HostPathError> {
    let shown = || path.display().to_string();
    let make = |source| HostPathError::Make { path: shown(), source };
    let is = |test: fn(&fs::FileType) -> bool, what| match fs::metadata(path) {
        Ok(metadata) if test(&metadata.file_type()) => Ok(()),
        _ => Err(HostPathError::Type { path: shown(), what }),
    };
    match kind {
        "" => Ok(()),
        "DirectoryOrCreate" => {
            if !path.exists() {
                fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(make)?;
            }
            is(fs::FileType::is_dir, "a directory")
        }
        "Directory" => is(fs::FileType::is_dir, "a directory"),
        "FileOrCreate" => {
            if !path.exists() {
                fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .mode(0o644)
                    .open(path)
                    .map_err(make)?;
            }
            is(fs::FileType::is_file, "a file")
        }
        "File" => is(fs::FileType::is_file, "a file"),
        "Socket" => is(fs::FileType::is_socket, "a socket file"),
        "CharDevice" => is(fs::FileType::is_char_device, "a character device"),
        "BlockDevice" => is(fs::FileType::is_block_device, "a block device"),
        other => Err(HostPathError::Unknown(other.to_owned())),
    }
}
