//! How long a server takes from its start to the first `/readyz` that says ok.

use std::time::Duration;

use decapod_sys::Env;
use tokio::time::Instant;

use crate::Error;
use crate::args;
use crate::connection::{Http, Target};
use crate::pods::{self, Encoding};
use crate::results::Results;
use crate::server::Server;

/// How long to wait before asking again.
const AGAIN: Duration = Duration::from_millis(2);

/// Asks until the server is ready.
pub async fn run(args: &args::Ready) -> Result<(), Error> {
    let (env, target) = (Env::system(), Target::new(args.port, None)?);
    let end = Instant::now() + Duration::from_secs(args.timeout);
    while !is_ready(&env, &target).await {
        if Instant::now() > end {
            return Err(Error::Server("not ready in time".into()));
        }
        tokio::time::sleep(AGAIN).await;
    }
    let server = Server::read(&args.place.pids)?;
    let (age, cpu, memory) = (server.age()?, server.cpu()?, server.memory()?);
    if !server.is_there() {
        return Err(Error::Setup(format!("{} names no process", args.place.pids.display())));
    }
    let results = Results::new(&args.place);
    results.add(&args.row, "to readyz", "ms", age.as_secs_f64() * 1e3)?;
    results.add(&args.row, "server CPU", "ms", cpu.as_secs_f64() * 1e3)?;
    results.add(&args.row, "RSS", "MB", memory.rss as f64 / 1e6)
}

async fn is_ready(env: &Env, target: &Target) -> bool {
    let Ok(mut connection) = target.connect(env, Http::One).await else { return false };
    connection.send(pods::get("/readyz", Encoding::Json)).await.is_ok()
}
