//! `decapod sim`: parts of a cluster that are only simulated, to see how the rest bears them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args as Arguments, Subcommand};
use decapod_client::{Client, Remote, kubeconfig};
use decapod_sim::nodes::{Config, Nodes, Report};
use decapod_sys::Env;

use super::{Error, asked_to_end};

/// Arguments of `decapod sim`.
#[derive(Arguments)]
pub struct Sim {
    /// What to simulate
    #[command(subcommand)]
    pub action: Action,
}

/// What `decapod sim` simulates.
#[derive(Subcommand)]
pub enum Action {
    /// Run nodes without machines, on any API server
    ///
    /// They register, renew their leases, and take the pods that are bound to them to Running and away. One connection
    /// carries all of them. They stay, not ready, when this ends: kubectl delete nodes -l type=simulated
    ///
    ///   decapod sim nodes --count 1000 --kubeconfig /tmp/api/admin.kubeconfig
    #[command(verbatim_doc_comment)]
    Nodes(SimNodes),
}

/// Arguments of `decapod sim nodes`.
#[derive(Arguments)]
pub struct SimNodes {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub count: usize,
    /// The way to the API server, with an administrator's rights
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
    /// What their names begin with; a number follows
    #[arg(long, value_name = "TEXT", default_value = "sim-")]
    pub prefix: String,
    /// How many pods each takes
    #[arg(long, value_name = "N", default_value_t = 110, value_parser = clap::value_parser!(u32).range(..=250))]
    pub pods: u32,
    /// The CPUs of each
    #[arg(long, value_name = "QUANTITY", default_value = "32")]
    pub cpu: String,
    /// The memory of each
    #[arg(long, value_name = "QUANTITY", default_value = "256Gi")]
    pub memory: String,
}

/// How often it is told what has been done, while anything is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Runs what is asked for until asked to end.
pub async fn run(args: Sim) -> Result<(), Error> {
    match args.action {
        Action::Nodes(args) => nodes(args).await,
    }
}

async fn nodes(args: SimNodes) -> Result<(), Error> {
    let env = Env::system();
    let failed = |error: &dyn std::fmt::Display| Error::Ask(error.to_string());
    let remote = kubeconfig::load(&args.kubeconfig, None).map_err(|error| failed(&error))?;
    let client = Client::new(Remote::new(&env, remote).map_err(|error| failed(&error))?);
    let config = Config {
        prefix: args.prefix,
        pods_max: args.pods,
        cpu: args.cpu,
        memory: args.memory,
        ..Config::new(args.count)
    };
    let acting = client.clone();
    let nodes = Nodes::start(&env, config, &client, Arc::new(move |_| acting.clone()));
    let end = asked_to_end();
    tokio::pin!(end);
    let mut told = Report::default();
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut end => break ended,
            () = tokio::time::sleep(TELL_EVERY) => {}
        }
        let report = nodes.report();
        if report != told {
            println!("{report}");
            told = report;
        }
    };
    println!("{}", nodes.report());
    env.shutdown().await;
    ended
}
