//! `decapod agent`: a node that joins a cluster.

use decapod_sys::Env;

use super::{Error, asked_to_end, up};
use crate::cluster::agent::{self, AgentSettings};
use crate::cluster::{modules, preflight};
use crate::{args, cluster};

/// Joins if need be, and runs the node until asked to end.
pub async fn run(args: args::Agent) -> Result<(), Error> {
    let token = match &args.token_file {
        Some(path) => Some(std::fs::read_to_string(path).map_err(Error::file(path))?),
        None => args.token.clone(),
    };
    let token = token.map(|text| text.parse().map_err(Error::Token)).transpose()?;
    let settings = AgentSettings { node: up::node_settings(&args.node), server: args.server.clone(), token };
    let env = Env::system();
    let before = modules::before();
    preflight::check().map_err(cluster::Error::from)?;
    let running = up::Running::claim(&settings.node.paths)?;
    modules::note(&settings.node.paths, before)?;
    let say = up::progress();
    let node = tokio::select! {
        biased;
        ended = asked_to_end() => return running.end(&env, ended).await,
        node = agent::start(&env, &settings, &say) => node?,
    };
    say("waiting for the node and DNS");
    tokio::select! {
        biased;
        ended = asked_to_end() => return running.end(&env, ended).await,
        () = node.ready() => {}
    }
    println!("{}: node {} of {}", up::READY, settings.node.node_name, settings.server);
    let ended = asked_to_end().await;
    running.end(&env, ended).await
}
