//! What can be said of join tokens.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Arguments, Subcommand};

use super::{Folder, parse};

/// Arguments of `decapod token`.
#[derive(Arguments)]
pub struct Token {
    /// What to do
    #[command(subcommand)]
    pub action: TokenAction,
}

/// Whose tokens.
#[derive(Arguments)]
pub struct Whose {
    /// The cluster.
    #[command(flatten)]
    pub folder: Folder,
    /// A kubeconfig that leads to the cluster [default: DIR/admin.kubeconfig]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// What `decapod token` does.
#[derive(Subcommand)]
pub enum TokenAction {
    /// Make a token and print it
    ///
    /// It is one of upstream's bootstrap tokens, and the hash of the cluster's CA, by which a node knows whom it joins.
    ///
    ///   decapod token create --ttl 15m --description "the two new ones"
    ///   decapod token create --print-join-command
    #[command(verbatim_doc_comment)]
    Create {
        /// Whose
        #[command(flatten)]
        of: Whose,
        /// How long it is good: 90s, 15m, 24h; 0 for ever
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse::duration)]
        ttl: Duration,
        /// What it is for, in your words
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// Print the whole command that joins a node
        #[arg(long)]
        print_join_command: bool,
    },
    /// List the tokens, without their secrets
    ///
    /// The six characters that each begins with, until when it is good, and what it is for.
    ///
    ///   decapod token list
    #[command(verbatim_doc_comment)]
    List {
        /// Whose
        #[command(flatten)]
        of: Whose,
    },
    /// Delete a token
    ///
    /// Nobody joins with it any more. Nodes that have joined stay: their certificates are their own.
    ///
    ///   decapod token delete abcdef
    #[command(verbatim_doc_comment)]
    Delete {
        /// Whose
        #[command(flatten)]
        of: Whose,
        /// The token, or the six characters that it begins with
        #[arg(value_name = "TOKEN")]
        token: String,
    },
}
