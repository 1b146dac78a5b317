//! Measures the store: durable writes a second, bytes written for each, time to restart, memory per object.
//!
//! ```text
//! cargo run --release -p decapod-store --example store_bench -- DIR [OBJECTS] [SECONDS]
//! ```
//! Each engine is one [`Engine`]; another candidate is one more of them. Bodies are 3 KB, as pods with managedFields
//! are. `DIR` should be on the disk that counts, not on tmpfs.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use decapod_api::Encoded;
use decapod_store::{At, Config, Expect, Stats, Store, Txn};
use decapod_sys::Env;
use tokio::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What a candidate must do: a put is back when it is durable.
trait Engine: Sized + Send + Sync + 'static {
    const NAME: &'static str;
    fn open(dir: &Path, env: &Env) -> impl Future<Output = Result<Self>> + Send;
    fn put(&self, key: &str, body: Encoded) -> impl Future<Output = Result<()>> + Send;
    fn len(&self) -> impl Future<Output = Result<usize>> + Send;
    fn close(self) -> impl Future<Output = Result<()>> + Send;
}

/// The store as it is.
struct Embedded(Store);

const BODY_BYTES: usize = 3000;
const WRITERS: [u64; 3] = [1, 64, 512];
/// How many keys the writers go round.
const KEYS: u64 = 5000;

impl Engine for Embedded {
    const NAME: &'static str = "decapod log";

    async fn open(dir: &Path, env: &Env) -> Result<Self> {
        Ok(Embedded(Store::open(Config::dir(dir), env).await?))
    }

    async fn put(&self, key: &str, body: Encoded) -> Result<()> {
        self.0.commit(Txn::put(key, body, Expect::Any)).await?;
        Ok(())
    }

    async fn len(&self) -> Result<usize> {
        Ok(self.0.snapshot("/registry/pods/", At::Latest).await?.len())
    }

    async fn close(self) -> Result<()> {
        println!("  {}", figures(&self.0.stats()));
        Ok(self.0.close().await?)
    }
}

fn figures(stats: &Stats) -> String {
    let Stats { appends, appended_bytes, kept_bytes, cleaned_segments, log_bytes, live_bytes, .. } = stats;
    format!(
        "{appends} appends, {appended_bytes} bytes, of these {kept_bytes} copied by cleaning {cleaned_segments} \
         segments; log {log_bytes} bytes for {live_bytes} live"
    )
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| args.get(at).map_or(Ok(default), |text| text.parse());
    let (objects, seconds) = (number(1, 150_000)?, number(2, 3)?);
    let dir = Path::new(args.first().ok_or("usage: store_bench DIR [OBJECTS] [SECONDS]")?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    if args.get(3).is_some() {
        return runtime.block_on(restart::<Embedded>(&dir.join("restart")));
    }
    runtime.block_on(bench::<Embedded>(dir, objects, seconds))?;
    // In a process of its own, whose memory is that of a store that has just started.
    let again = [args[0].clone(), objects.to_string(), seconds.to_string(), "restart".to_owned()];
    let status = std::process::Command::new(std::env::current_exe()?).args(again).status()?;
    if status.success() { Ok(()) } else { Err("the restart failed".into()) }
}

async fn bench<E: Engine>(dir: &Path, objects: u64, seconds: u64) -> Result<()> {
    let env = Env::system();
    println!("{}, bodies of {BODY_BYTES} bytes in {}", E::NAME, dir.display());
    for writers in WRITERS {
        writes::<E>(&dir.join(format!("writes-{writers}")), &env, writers, seconds).await?;
    }
    fill::<E>(&dir.join("restart"), &env, objects).await
}

/// Writes with `writers` clients, each waiting for one write at a time.
async fn writes<E: Engine>(dir: &Path, env: &Env, writers: u64, seconds: u64) -> Result<()> {
    let engine = Arc::new(E::open(dir, env).await?);
    let (written_before, cpu_before) = (disk_bytes()?, cpu_seconds()?);
    let count = Arc::new(AtomicU64::new(0));
    let (begin, mut tasks) = (Instant::now(), Vec::new());
    let end = begin + Duration::from_secs(seconds);
    for writer in 0..writers {
        let (engine, count) = (engine.clone(), count.clone());
        tasks.push(env.spawn("writer", async move {
            for n in (writer..).step_by(writers as usize) {
                if Instant::now() >= end {
                    break;
                }
                engine.put(&key(n % KEYS), body(n)).await.expect("a durable write");
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for task in tasks {
        task.await?;
    }
    let (count, elapsed) = (count.load(Ordering::Relaxed), begin.elapsed().as_secs_f64());
    println!(
        "{writers:>4} writers: {:>8.0} durable writes/s, {:.2} bytes written per byte, {:.1} us CPU per write",
        count as f64 / elapsed,
        (disk_bytes()? - written_before) as f64 / (count * BODY_BYTES as u64) as f64,
        (cpu_seconds()? - cpu_before) * 1e6 / count as f64,
    );
    Arc::into_inner(engine).ok_or("a writer is left")?.close().await
}

/// Fills with `objects`, and writes half of them anew.
async fn fill<E: Engine>(dir: &Path, env: &Env, objects: u64) -> Result<()> {
    let rss_before = rss_bytes()?;
    let engine = Arc::new(E::open(dir, env).await?);
    let mut tasks = Vec::new();
    for writer in 0..256 {
        let engine = engine.clone();
        tasks.push(env.spawn("writer", async move {
            for n in (writer..objects).chain(0..objects / 2).step_by(256) {
                engine.put(&key(n), body(n)).await.expect("a durable write");
            }
        }));
    }
    for task in tasks {
        task.await?;
    }
    memory("after writing", rss_before, engine.len().await?)?;
    Arc::into_inner(engine).ok_or("a writer is left")?.close().await
}

/// Opens what [`fill`] left.
async fn restart<E: Engine>(dir: &Path) -> Result<()> {
    let (rss_before, cpu_before, begin) = (rss_bytes()?, cpu_seconds()?, Instant::now());
    let engine = E::open(dir, &Env::system()).await?;
    let (elapsed, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds()? - cpu_before);
    let objects = engine.len().await?;
    println!("restart with {objects} objects: {:.0} ms, of CPU {:.0} ms", elapsed * 1e3, cpu * 1e3);
    memory("after the restart", rss_before, objects)?;
    engine.close().await
}

fn memory(when: &str, rss_before: u64, objects: usize) -> Result<()> {
    let per_object = (rss_bytes()? - rss_before) as f64 / objects as f64;
    println!(
        "memory per object {when}: {per_object:.0} bytes, {:.2} of its size",
        per_object / BODY_BYTES as f64
    );
    Ok(())
}

fn key(n: u64) -> String {
    format!("/registry/pods/namespace-{}/deployment-{:08}", n % 50, n)
}

fn body(n: u64) -> Encoded {
    let head = format!(r#"{{"metadata":{{"name":"deployment-{n:08}","#);
    let revision_at = head.len();
    let tail = format!(r#""uid":"{n:036}"}},"spec":""#);
    let padding = BODY_BYTES - head.len() - tail.len() - 2;
    Encoded { bytes: Bytes::from([&head, &tail, &*"x".repeat(padding), "\"}"].concat()), revision_at }
}

/// A figure of `/proc/self`.
fn proc_field(file: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/{file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("the kernel does not say")?;
    Ok(line.split_whitespace().next().ok_or("the kernel does not say")?.parse()?)
}

fn disk_bytes() -> Result<u64> {
    proc_field("io", "write_bytes:")
}

fn rss_bytes() -> Result<u64> {
    Ok(proc_field("status", "VmRSS:")? * 1024)
}

fn cpu_seconds() -> Result<f64> {
    let usage = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = usage.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}
