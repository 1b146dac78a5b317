//! What a server at rest needs.

use std::time::Duration;

use tokio::time::Instant;

use crate::Error;
use crate::args;
use crate::results::Results;
use crate::server::Server;

/// Looks at a server that nobody asks anything.
pub async fn run(args: &args::Idle) -> Result<(), Error> {
    let server = Server::read(&args.place.pids)?;
    let (begin, cpu) = (Instant::now(), server.cpu()?);
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    let used = server.cpu()?.saturating_sub(cpu).as_secs_f64() / begin.elapsed().as_secs_f64();
    let memory = server.memory()?;
    let results = Results::new(&args.place);
    results.add(&args.row, "RSS", "MB", memory.rss as f64 / 1e6)?;
    results.add(&args.row, "PSS", "MB", memory.pss as f64 / 1e6)?;
    results.add(&args.row, "CPU", "% of core", used * 100.0)
}
