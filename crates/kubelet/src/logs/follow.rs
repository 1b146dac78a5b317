//! Sends a log, and what is added to it, to a reader: woken by inotify, never by a clock.

use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use inotify::{EventStream, Inotify, WatchMask};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncSeekExt, BufReader};
use tokio::sync::{mpsc, watch};

use super::line::Line;
use super::{LogOptions, tail_offset};

/// Whether the container runs, asked again when the runtime reports something.
pub struct Running {
    /// Changes with every event of the runtime.
    pub events: watch::Receiver<u64>,
    /// Asks the runtime.
    pub ask: Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
}

/// What comes to a reader who has all there is.
enum News {
    Written,
    Ended,
}

/// One reader of one log.
struct Reader<'a> {
    options: &'a LogOptions,
    to: &'a mpsc::Sender<Bytes>,
    left: u64,
    /// Whether the last line that was shown has not ended yet.
    within_line: bool,
}

/// Sends the part of the log at `path` that `options` select. Ends with the log, or when following with the container,
/// or when nobody receives any more.
pub async fn send(
    path: &Path,
    options: &LogOptions,
    running: Option<Running>,
    to: &mpsc::Sender<Bytes>,
) -> io::Result<()> {
    let mut running = running.filter(|_| options.follow);
    // Watched before it is read, so that nothing falls between.
    let mut changes = match &running {
        Some(_) => Some(watch_directory(path)?),
        None => None,
    };
    let mut file = open(path, options).await?;
    let mut reader =
        Reader { options, to, left: options.limit_bytes.unwrap_or(u64::MAX), within_line: false };
    let mut pending = Vec::new();
    let mut alive = match &running {
        Some(running) => (running.ask)().await,
        None => false,
    };
    loop {
        if !reader.drain(&mut file, &mut pending).await? {
            return Ok(());
        }
        let (Some(running), Some(changes)) = (&mut running, &mut changes) else { return Ok(()) };
        if let Some(next) = rotated(path, &file).await? {
            file = next;
            continue;
        }
        if !alive {
            return Ok(());
        }
        match news(running, changes, to).await {
            Some(News::Written) => {}
            Some(News::Ended) => alive = false,
            None => return Ok(()),
        }
    }
}

/// Waits until something is written or the container ends; `None` if nobody reads any more.
async fn news(
    running: &mut Running,
    changes: &mut EventStream<Vec<u8>>,
    to: &mpsc::Sender<Bytes>,
) -> Option<News> {
    loop {
        tokio::select! {
            biased;
            () = to.closed() => return None,
            change = changes.next() => return change.map(|_| News::Written),
            event = running.events.changed() => {
                if event.is_err() || !(running.ask)().await {
                    return Some(News::Ended);
                }
            }
        }
    }
}

fn watch_directory(path: &Path) -> io::Result<EventStream<Vec<u8>>> {
    let inotify = Inotify::init()?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    inotify.watches().add(directory, WatchMask::MODIFY | WatchMask::CREATE | WatchMask::MOVED_TO)?;
    inotify.into_event_stream(vec![0; 4096])
}

async fn open(path: &Path, options: &LogOptions) -> io::Result<BufReader<File>> {
    let mut file = File::open(path).await?;
    if let Some(lines) = options.tail_lines {
        let mut whole = file.try_clone().await?.into_std().await;
        let offset = tail_offset(&mut whole, lines)?;
        file.seek(SeekFrom::Start(offset)).await?;
    }
    Ok(BufReader::new(file))
}

/// The file that has taken the place of `file`.
async fn rotated(path: &Path, file: &BufReader<File>) -> io::Result<Option<BufReader<File>>> {
    let Ok(there) = tokio::fs::metadata(path).await else { return Ok(None) };
    let open = file.get_ref().metadata().await?;
    if (there.ino(), there.dev()) == (open.ino(), open.dev()) {
        return Ok(None);
    }
    Ok(Some(BufReader::new(File::open(path).await?)))
}

// === impl Reader ===

impl Reader<'_> {
    /// Sends all that there is; whether more is wanted. `pending` holds a line that is not written to its end.
    async fn drain(&mut self, file: &mut BufReader<File>, pending: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            file.read_until(b'\n', pending).await?;
            if !pending.ends_with(b"\n") {
                return Ok(true);
            }
            let shown = Line::parse(pending).and_then(|line| self.show(&line));
            pending.clear();
            let Some(mut shown) = shown else { continue };
            shown.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= shown.len() as u64;
            if self.to.send(Bytes::from(shown)).await.is_err() || self.left == 0 {
                return Ok(false);
            }
        }
    }

    fn show(&mut self, line: &Line) -> Option<Vec<u8>> {
        if self.options.stream.is_some_and(|stream| stream != line.stream) {
            return None;
        }
        if let Some(since) = self.options.since
            && line.timestamp().is_some_and(|time| time < since)
        {
            return None;
        }
        let mut out = Vec::new();
        if self.options.timestamps && !self.within_line {
            out.extend_from_slice(line.time.as_bytes());
            out.push(b' ');
        }
        self.within_line = line.partial;
        out.extend(line.text());
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    async fn all(path: &Path, options: LogOptions) -> String {
        let (to, mut from) = mpsc::channel(100);
        send(path, &options, None, &to).await.unwrap();
        drop(to);
        let mut out = Vec::new();
        while let Some(bytes) = from.recv().await {
            out.extend_from_slice(&bytes);
        }
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn options_select() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let text = "2026-01-01T00:00:00Z stdout F a\n2026-01-01T00:00:01Z stderr P b\n2026-01-01T00:00:01Z stderr F c\n2026-01-01T00:00:02Z stdout F d\n";
        std::fs::write(&path, text).unwrap();
        let default = LogOptions::default;
        assert_eq!(all(&path, default()).await, "a\nbc\nd\n");
        assert_eq!(all(&path, LogOptions { tail_lines: Some(1), ..default() }).await, "d\n");
        assert_eq!(
            all(&path, LogOptions { since: "2026-01-01T00:00:02Z".parse().ok(), ..default() }).await,
            "d\n"
        );
        assert_eq!(all(&path, LogOptions { limit_bytes: Some(3), ..default() }).await, "a\nb");
        let timed = all(
            &path,
            LogOptions { timestamps: true, stream: Some(super::super::Stream::Stderr), ..default() },
        )
        .await;
        assert_eq!(timed, "2026-01-01T00:00:01Z bc\n");
    }

    #[tokio::test]
    async fn following_ends_with_the_container() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        std::fs::write(&path, "2026-01-01T00:00:00Z stdout F a\n").unwrap();
        let (events, receiver) = watch::channel(0);
        let alive = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&alive);
        let ask = Box::new(move || -> BoxFuture<'static, bool> {
            Box::pin(std::future::ready(asked.load(Ordering::Relaxed)))
        });
        let (to, mut from) = mpsc::channel(10);
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let reader_path = path.clone();
        let env = decapod_sys::Env::system();
        let task = env.spawn("log", async move {
            send(&reader_path, &options, Some(Running { events: receiver, ask }), &to).await.unwrap();
        });
        assert_eq!(from.recv().await.unwrap(), "a\n");
        std::fs::rename(&path, directory.path().join("0.log.1")).unwrap();
        std::fs::write(&path, "2026-01-01T00:00:00Z stdout F b\n").unwrap();
        assert_eq!(from.recv().await.unwrap(), "b\n");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"2026-01-01T00:00:00Z stdout F c\n").unwrap();
        assert_eq!(from.recv().await.unwrap(), "c\n");
        alive.store(false, Ordering::Relaxed);
        events.send(1).unwrap();
        assert!(from.recv().await.is_none());
        task.await.unwrap();
    }
}
