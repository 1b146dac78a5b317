//! Logs of containers as the runtime writes them: `TIME STREAM TAG TEXT` lines, tag `P` for parts of a line
//! (pkg/kubelet/kuberuntime/logs, k8s.io/cri-client/pkg/logs).

mod follow;
mod line;
mod rotate;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;

pub use follow::{Running, send};
pub use line::{Line, Stream};
pub use rotate::keep_small;

/// Which part of a log, and how it is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogOptions {
    /// Whether to go on with what is written later.
    pub follow: bool,
    /// Only so many lines from the end.
    pub tail_lines: Option<u64>,
    /// Only what was written since.
    pub since: Option<Timestamp>,
    /// Whether each line begins with its time.
    pub timestamps: bool,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
    /// Only of this stream.
    pub stream: Option<Stream>,
}

/// How much is read at once, backwards.
const BLOCK_BYTES: u64 = 64 << 10;

/// Where in the file the last `lines` lines begin.
fn tail_offset(file: &mut File, lines: u64) -> std::io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(end);
    }
    // The newline that ends the last line is not the one before it.
    let mut needed = lines + 1;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        file.seek(SeekFrom::Start(start))?;
        block.resize((end - start) as usize, 0);
        file.read_exact(&mut block)?;
        for (at, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            needed -= 1;
            if needed == 0 {
                return Ok(start + at as u64 + 1);
            }
        }
        end = start;
    }
    Ok(0)
}

/// The text of the last `lines` lines of the log at `path`, at most `bytes_max` bytes of it; empty if there is none.
pub fn tail_text(path: &Path, lines: usize, bytes_max: usize) -> String {
    let mut raw = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let offset = tail_offset(&mut file, lines as u64)?;
        file.seek(SeekFrom::Start(offset))?;
        file.take(BLOCK_BYTES * 16).read_to_end(&mut raw)
    });
    if read.is_err() {
        return String::new();
    }
    let mut text: Vec<u8> = raw
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(Line::parse)
        .flat_map(|line| line.text())
        .collect();
    if text.len() > bytes_max {
        text.drain(..text.len() - bytes_max);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let lines: String = (0..5).map(|i| format!("2026-01-01T00:00:0{i}.5Z stdout F line {i}\n")).collect();
        std::fs::write(&path, lines).unwrap();
        assert_eq!(tail_text(&path, 2, 100), "line 3\nline 4\n");
        assert_eq!(tail_text(&path, 9, 7), "line 4\n");
        assert_eq!(tail_text(&path, 0, 100), "");
        assert_eq!(tail_text(&directory.path().join("none"), 2, 100), "");
    }
}
