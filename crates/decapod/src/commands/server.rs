//! `decapod server`: the first node of a cluster that others join.

use super::{Error, up};
use crate::args;

/// Runs the cluster until asked to end.
pub async fn run(args: args::Server) -> Result<(), Error> {
    let data_dir = args.cluster.node.folder.path();
    let address = args.cluster.node.node_ip.unwrap_or_else(super::own_address);
    let hint = format!(
        "join a machine with decapod agent --server https://{address}:{} --token \"$(decapod token create --data-dir {})\"",
        args.cluster.port,
        data_dir.display()
    );
    up::foreground(&args.cluster, None, &hint).await
}
