//! The pause image: our own tiny static program, embedded, as an OCI archive that the runtime imports at start.

use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use serde_json::json;

/// What the sandboxes' image is called. The version changes whenever the program does.
pub const PAUSE_IMAGE: &str = "decapod.internal/pause:1";

const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

/// The size of a block of a tar archive.
const BLOCK_BYTES: usize = 512;

/// Writes the archive below `directory` and returns where it is.
pub fn write_archive(directory: &Path) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(directory)?;
    let path = directory.join("pause.tar");
    std::fs::write(&path, archive())?;
    Ok(path)
}

/// The image as an OCI layout in a tar archive.
fn archive() -> Vec<u8> {
    let layer = tar(&[("pause", PROGRAM, 0o755)]);
    let layer_digest = hash(&layer);
    let config = json!({
        "architecture": architecture(), "os": "linux",
        "config": { "Entrypoint": ["/pause"], "User": "65535:65535", "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
    })
    .to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
    })
    .to_string();
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
    entry["annotations"] = json!({
        "io.containerd.image.name": PAUSE_IMAGE,
        "org.opencontainers.image.ref.name": PAUSE_IMAGE,
    });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string();
    let blob = |content: &[u8]| format!("blobs/sha256/{}", hash(content));
    tar(&[
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644),
        ("index.json", index.as_bytes(), 0o644),
        (&blob(manifest.as_bytes()), manifest.as_bytes(), 0o644),
        (&blob(config.as_bytes()), config.as_bytes(), 0o644),
        (&blob(&layer), &layer, 0o644),
    ])
}

/// As OCI names this machine.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn descriptor(media_type: &str, content: &[u8]) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", hash(content)), "size": content.len() })
}

fn hash(content: &[u8]) -> String {
    digest(&SHA256, content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tar archive of regular files: name, content, mode.
fn tar(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content, mode) in files {
        out.extend_from_slice(&header(name, content.len(), *mode));
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(BLOCK_BYTES), 0);
    }
    out.resize(out.len() + 2 * BLOCK_BYTES, 0);
    out
}

/// A file's header in the ustar format, owned by root, of the epoch.
fn header(name: &str, size: usize, mode: u32) -> [u8; BLOCK_BYTES] {
    let mut header = [0; BLOCK_BYTES];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_small_and_the_archive_is_read_by_tar() {
        assert!(PROGRAM.starts_with(b"\x7fELF") && PROGRAM.len() < 16 << 10, "{} bytes", PROGRAM.len());
        let directory = tempfile::tempdir().unwrap();
        let path = write_archive(directory.path()).unwrap();
        let output = std::process::Command::new("tar").arg("tvf").arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 5);
    }
}
