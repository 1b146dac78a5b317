//! The rows of the table, and what each measures.

pub mod bound;
pub mod cri;
pub mod idle;
pub mod pod_start;
pub mod ready;
pub mod services;

mod simple;
mod watch;

use std::time::Duration;

use decapod_sys::Env;

use crate::Error;
use crate::args::Requests;
use crate::connection::Target;
use crate::load::Place;
use crate::results::Results;
use crate::server::Server;

/// What the rows share.
pub struct Bench<'a> {
    /// Whom to load.
    pub place: Place,
    /// Where figures go.
    pub results: Results,
    /// How much of everything.
    pub args: &'a Requests,
}

/// The rows of `requests`, in their order.
const ROWS: [&str; 6] = ["create", "get", "list", "patch", "watch", "more"];

/// Measures the rows that are asked for.
pub async fn requests(env: &Env, args: &Requests) -> Result<(), Error> {
    if let Some(unknown) = args.rows.iter().find(|row| !ROWS.contains(&row.as_str())) {
        return Err(Error::Setup(format!("no row is named {unknown}; there are {}", ROWS.join(", "))));
    }
    let place = Place {
        env: env.clone(),
        target: Target::new(args.port, Some((&args.cert, &args.key)))?,
        server: Server::read(&args.place.pids)?,
    };
    let bench = Bench { place, results: Results::new(&args.place), args };
    for row in ROWS.into_iter().filter(|row| args.rows.is_empty() || args.rows.iter().any(|r| r == row)) {
        match row {
            "create" => bench.create().await?,
            "get" => bench.get().await?,
            "list" => bench.list().await?,
            "patch" => bench.patch().await?,
            "watch" => bench.watch().await?,
            _ => bench.more().await?,
        }
    }
    Ok(())
}

// === impl Bench ===

impl Bench<'_> {
    /// How long a row is measured.
    pub fn time(&self) -> Duration {
        Duration::from_secs_f64(self.args.seconds)
    }
}
