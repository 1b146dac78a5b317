//! Measures the store's log beside `fjall` and `redb`: durable writes a second, bytes written for each, time to restart,
//! memory per object.
//!
//! ```text
//! cargo run --release --manifest-path bench/engines/Cargo.toml -- DIR [OBJECTS] [ROUNDS]
//! ```
//! Objects are pods of 3 KB with managedFields, as they are stored. All candidates hold them in memory, as the API server
//! serves them from there, and write all that waits at once; ours keeps history for watches besides. `DIR` should be on
//! the disk that counts, not on tmpfs.
#![forbid(unsafe_code)]

mod candidates;
mod engine;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use decapod_api::Encoded;
use decapod_sys::Env;
use tokio::time::Instant;

use crate::candidates::{Embedded, Fjall, Redb};
use crate::engine::{Engine, Grouped, Result};

const WRITERS: [u64; 3] = [1, 64, 512];
/// How long a round of writes is.
const ROUND: Duration = Duration::from_secs(1);
/// How many keys the writers go round.
const KEYS: u64 = 5000;
/// An object as it is stored.
const POD: &str = include_str!("pod.json");
const CANDIDATES: [&str; 3] = ["ours", "fjall", "redb"];

/// What one process does: memory is that of a process that has done nothing else.
struct Part {
    dir: String,
    objects: u64,
    phase: String,
    candidate: String,
}

/// What each phase measures, in the order in which it says it.
const WRITES: [&str; 3] = ["durable writes/s", "bytes to disk each", "us CPU each"];
const FILL: [&str; 3] = ["bytes of memory per object", "bytes to disk per write", "MB on disk"];
const RESTART: [&str; 3] = ["ms to restart", "ms CPU", "bytes of memory per object"];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| args.get(at).map_or(Ok(default), |text| text.parse());
    let dir = args.first().ok_or("usage: decapod-bench-engines DIR [OBJECTS] [ROUNDS]")?.clone();
    let (objects, rounds) = (number(1, 150_000)?, number(2, 9)?);
    if let [_, _, _, phase, candidate] = args.as_slice() {
        let part = Part { dir, objects, phase: phase.clone(), candidate: candidate.clone() };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
        return match part.candidate.as_str() {
            "ours" => runtime.block_on(part.run::<Embedded>()),
            "fjall" => runtime.block_on(part.run::<Grouped<Fjall>>()),
            _ => runtime.block_on(part.run::<Grouped<Redb>>()),
        };
    }
    for writers in WRITERS {
        rounds_of(&args[0], objects, rounds, &writers.to_string(), &format!("{writers} writers"), WRITES)?;
    }
    rounds_of(&args[0], objects, 1, "fill", &format!("{objects} objects, half of them anew"), FILL)?;
    rounds_of(&args[0], objects, rounds.div_ceil(3), "restart", &format!("{objects} objects"), RESTART)
}

/// Lets the candidates do a phase in turn, so that what the machine does meanwhile meets all; prints the medians.
fn rounds_of(dir: &str, objects: u64, rounds: u64, phase: &str, title: &str, names: [&str; 3]) -> Result<()> {
    let mut figures = [const { Vec::new() }; CANDIDATES.len()];
    for _ in 0..rounds {
        for (candidate, figures) in CANDIDATES.iter().zip(&mut figures) {
            let again = [dir, &objects.to_string(), "0", phase, candidate];
            let output =
                Command::new(std::env::current_exe()?).args(again).stderr(Stdio::inherit()).output()?;
            if !output.status.success() {
                return Err(format!("{phase} of {candidate} failed").into());
            }
            let text = String::from_utf8(output.stdout)?;
            let values: Vec<f64> =
                text.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?;
            eprintln!("  {title}, {candidate}: {values:?}");
            figures.push(values);
        }
    }
    for (candidate, figures) in CANDIDATES.iter().zip(&figures) {
        let median = |at: usize| {
            let mut values: Vec<f64> = figures.iter().filter_map(|values| values.get(at).copied()).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let shown: Vec<String> =
            names.iter().enumerate().map(|(at, name)| format!("{:.0} {name}", median(at))).collect();
        println!("{title}, {candidate}: {}", shown.join(", "));
    }
    Ok(())
}

// === impl Part ===

impl Part {
    async fn run<E: Engine>(&self) -> Result<()> {
        let env = Env::system();
        let dir = Path::new(&self.dir).join(&self.candidate);
        match self.phase.as_str() {
            "fill" => self.fill::<E>(&dir.join("restart"), &env).await,
            "restart" => self.restart::<E>(&dir.join("restart"), &env).await,
            writers => self.writes::<E>(&dir.join(format!("writes-{writers}")), &env, writers.parse()?).await,
        }
    }

    /// Writes with `writers` clients, each waiting for one write at a time.
    async fn writes<E: Engine>(&self, dir: &Path, env: &Env, writers: u64) -> Result<()> {
        let engine = Arc::new(E::open(dir, env).await?);
        let (written_before, cpu_before) = (disk_bytes()?, cpu_seconds()?);
        let count = Arc::new(AtomicU64::new(0));
        let (begin, mut tasks) = (Instant::now(), Vec::new());
        let end = begin + ROUND;
        for writer in 0..writers {
            let (engine, count) = (engine.clone(), count.clone());
            tasks.push(env.spawn("client", async move {
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
        Arc::into_inner(engine).ok_or("a writer is left")?.close().await?;
        println!(
            "{} {} {}",
            count as f64 / elapsed,
            (disk_bytes()? - written_before) as f64 / count as f64,
            (cpu_seconds()? - cpu_before) * 1e6 / count as f64,
        );
        Ok(())
    }

    /// Fills with objects, and writes half of them anew.
    async fn fill<E: Engine>(&self, dir: &Path, env: &Env) -> Result<()> {
        let (rss_before, written_before, objects) = (rss_bytes()?, disk_bytes()?, self.objects);
        let engine = Arc::new(E::open(dir, env).await?);
        let mut tasks = Vec::new();
        for writer in 0..256 {
            let engine = engine.clone();
            tasks.push(env.spawn("client", async move {
                for n in (writer..objects).chain(0..objects / 2).step_by(256) {
                    engine.put(&key(n), body(n)).await.expect("a durable write");
                }
            }));
        }
        for task in tasks {
            task.await?;
        }
        let memory = (rss_bytes()? - rss_before) as f64 / engine.len().await? as f64;
        Arc::into_inner(engine).ok_or("a writer is left")?.close().await?;
        println!(
            "{memory} {} {}",
            (disk_bytes()? - written_before) as f64 / (objects + objects / 2) as f64,
            size_on_disk(dir)? as f64 / 1e6,
        );
        Ok(())
    }

    /// Opens what [`Part::fill`] left.
    async fn restart<E: Engine>(&self, dir: &Path, env: &Env) -> Result<()> {
        let (rss_before, cpu_before, begin) = (rss_bytes()?, cpu_seconds()?, Instant::now());
        let engine = E::open(dir, env).await?;
        let (elapsed, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds()? - cpu_before);
        let objects = engine.len().await?;
        println!("{} {} {}", elapsed * 1e3, cpu * 1e3, (rss_bytes()? - rss_before) as f64 / objects as f64,);
        engine.close().await
    }
}

fn key(n: u64) -> String {
    format!("/registry/pods/namespace-{}/frontend-7d4b9c6f58-{n:06}", n % 50)
}

fn body(n: u64) -> Encoded {
    let text = POD
        .trim_end()
        .replace("$NUMBER", &format!("{n:06}"))
        .replace("$UID", &format!("{:08x}-1bf1-4b6c-9592-da4196018eee", n.wrapping_mul(0x9e37_79b9) as u32))
        .replace("$WORD", &format!("{n:05}"));
    let revision_at = text.find("\"generation\"").unwrap_or(1);
    Encoded { bytes: Bytes::from(text), revision_at }
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

fn size_on_disk(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size_on_disk(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
