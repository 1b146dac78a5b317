//! The names of the images in an archive: docker's `manifest.json` or OCI's `index.json` within a tar.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

/// The size of a block of a tar archive.
const BLOCK_BYTES: u64 = 512;
/// What either file may have.
const INDEX_BYTES_MAX: u64 = 16 << 20;

#[derive(Deserialize)]
struct DockerImage {
    #[serde(rename = "RepoTags", default)]
    repo_tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct OciIndex {
    manifests: Vec<OciDescriptor>,
}

#[derive(Deserialize)]
struct OciDescriptor {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

// === impl OciDescriptor ===

impl OciDescriptor {
    /// By what containerd calls it: its own name for it, or a reference that is more than a tag.
    fn name(&self) -> Option<String> {
        let reference = || {
            let reference = self.annotations.get("org.opencontainers.image.ref.name");
            reference.filter(|reference| reference.contains(['/', ':', '@']))
        };
        self.annotations.get("io.containerd.image.name").or_else(reference).cloned()
    }
}

/// The names of the images in the archive at `path`, sorted; an error if it is no archive of images.
pub fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let (mut names, mut known) = (Vec::new(), false);
    let mut header = [0; BLOCK_BYTES as usize];
    while file.read_exact(&mut header).is_ok() && header[0] != 0 {
        let size = size(&header).ok_or_else(|| no_archive("a header is broken"))?;
        let name = String::from_utf8_lossy(header[..100].split(|byte| *byte == 0).next().unwrap_or_default())
            .into_owned();
        let next = file.stream_position()? + size.next_multiple_of(BLOCK_BYTES);
        match name.trim_start_matches("./") {
            "manifest.json" => {
                let images: Vec<DockerImage> = read(&mut file, size)?;
                names.extend(images.into_iter().flat_map(|image| image.repo_tags.unwrap_or_default()));
                known = true;
            }
            "index.json" => {
                let index: OciIndex = read(&mut file, size)?;
                names.extend(index.manifests.iter().filter_map(OciDescriptor::name));
                known = true;
            }
            _ => {}
        }
        file.seek(SeekFrom::Start(next))?;
    }
    if !known {
        return Err(no_archive("it has neither manifest.json nor index.json"));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn size(header: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(&header[124..136]).ok()?;
    u64::from_str_radix(digits.trim_matches(['\0', ' ']), 8).ok()
}

fn read<T: for<'de> Deserialize<'de>>(file: &mut File, size: u64) -> io::Result<T> {
    let mut json = Vec::new();
    file.take(size.min(INDEX_BYTES_MAX)).read_to_end(&mut json)?;
    serde_json::from_slice(&json).map_err(|error| no_archive(&error.to_string()))
}

fn no_archive(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no archive of images: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_archive_names_its_image() {
        let directory = tempfile::tempdir().unwrap();
        let path = crate::pause::write_archive(directory.path()).unwrap();
        assert_eq!(names(&path).unwrap(), [crate::pause::PAUSE_IMAGE]);
        std::fs::write(&path, "not a tar").unwrap();
        assert!(names(&path).is_err());
    }
}
