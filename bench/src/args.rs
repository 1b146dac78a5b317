//! What can be said on the command line.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args as Arguments, Parser, Subcommand};

use crate::pods::Encoding;

/// Measure an API server
#[derive(Parser)]
#[command(name = "decapod-bench", version, arg_required_else_help = true)]
pub struct Args {
    /// What to measure
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Wait until /readyz says ok, and say how long after the start of the first process
    Ready(Ready),
    /// Say what a server at rest needs
    Idle(Idle),
    /// Create, get, list, watch and patch pods
    Requests(Requests),
    /// Start pods on a node
    PodStart(PodStart),
    /// Start containers with nobody but the container runtime
    Cri(Cri),
    /// Create nodes, and pods that a scheduler binds
    Bound(Bound),
    /// Create services
    MakeServices(MakeServices),
    /// Wait until a service proxy leads to them, and change some
    SyncServices(SyncServices),
    /// Serve FILE over TLS as fast as memory can be copied: what a list is held against
    Copy(Copy),
    /// Put the figures of both sides together
    Table(Table),
}

/// Whose figures, and where they go.
#[derive(Arguments, Clone)]
pub struct Place {
    /// The name of the side
    #[arg(long)]
    pub side: String,
    /// The server's processes: lines of name, process id and start time
    #[arg(long, value_name = "FILE")]
    pub pids: PathBuf,
    /// The file that figures are added to
    #[arg(long, value_name = "FILE")]
    pub results: PathBuf,
}

/// Arguments of `ready`.
#[derive(Arguments)]
pub struct Ready {
    #[command(flatten)]
    pub place: Place,
    /// The port
    #[arg(long)]
    pub port: u16,
    /// The name of the row
    #[arg(long)]
    pub row: String,
    /// How many seconds it may take
    #[arg(long, default_value_t = 120)]
    pub timeout: u64,
}

/// Arguments of `idle`.
#[derive(Arguments)]
pub struct Idle {
    #[command(flatten)]
    pub place: Place,
    /// The name of the row
    #[arg(long, default_value = "idle")]
    pub row: String,
    /// Over how many seconds
    #[arg(long)]
    pub seconds: u64,
}

/// Arguments of `requests`.
#[derive(Arguments)]
pub struct Requests {
    #[command(flatten)]
    pub place: Place,
    /// The port
    #[arg(long)]
    pub port: u16,
    /// The client's certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Its key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// How long each row is measured, in seconds
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Pods that get, list, watch and patch work on; they are created if they are not there
    #[arg(long, default_value_t = 5000)]
    pub objects: u64,
    /// Pods created after the other rows, to tell what one needs in memory
    #[arg(long, default_value_t = 0)]
    pub more: u64,
    /// Clients at once
    #[arg(long, default_value_t = 32)]
    pub clients: usize,
    /// Watchers
    #[arg(long, default_value_t = 100)]
    pub watchers: usize,
    /// Changes a second while watched
    #[arg(long, default_value_t = 100)]
    pub rate: u64,
    /// The encodings of lists
    #[arg(long, value_enum, value_delimiter = ',', default_value = "json,protobuf,json-gzip,protobuf-gzip")]
    pub encodings: Vec<Encoding>,
    /// What to add to the names of rows
    #[arg(long, default_value = "")]
    pub note: String,
    /// The rows; without, all of them
    #[arg(long, value_delimiter = ',')]
    pub rows: Vec<String>,
}

/// Arguments of `cri`.
#[derive(Arguments)]
pub struct Cri {
    #[command(flatten)]
    pub place: Place,
    /// The runtime's socket
    #[arg(long, value_name = "FILE")]
    pub socket: PathBuf,
    /// Where the containers' logs go
    #[arg(long, value_name = "DIR")]
    pub logs: PathBuf,
    /// The name of the row
    #[arg(long)]
    pub row: String,
    /// An image that the runtime has and that has `sleep`
    #[arg(long)]
    pub image: String,
    /// How many, one after the other
    #[arg(long, default_value_t = 15)]
    pub count: usize,
}

/// Arguments of `pod-start`.
#[derive(Arguments)]
pub struct PodStart {
    #[command(flatten)]
    pub place: Place,
    /// The port
    #[arg(long)]
    pub port: u16,
    /// The client's certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Its key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The name of the row
    #[arg(long)]
    pub row: String,
    /// An image that is on the node and has `sleep`
    #[arg(long)]
    pub image: String,
    /// On the node's own network
    #[arg(long)]
    pub host_network: bool,
    /// How many pods, one after the other
    #[arg(long, default_value_t = 15)]
    pub count: usize,
}

/// What pods ask of a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Resources.
    Plain,
    /// To be spread over zones.
    Spread,
    /// To be on no node with another one.
    Apart,
    /// To be in one zone with the others.
    Together,
}

/// Arguments of `bound`.
#[derive(Arguments)]
pub struct Bound {
    #[command(flatten)]
    pub place: Place,
    /// The port
    #[arg(long)]
    pub port: u16,
    /// The client's certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Its key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// How many nodes
    #[arg(long, default_value_t = 5000)]
    pub nodes: u64,
    /// How many plain pods
    #[arg(long, default_value_t = 2000)]
    pub pods: u64,
    /// How many of each other shape
    #[arg(long, default_value_t = 500)]
    pub slow_pods: u64,
    /// Which shapes, in order
    #[arg(long, value_enum, value_delimiter = ',', default_value = "plain,spread,apart,together")]
    pub shapes: Vec<Shape>,
    /// Clients that create pods at once
    #[arg(long, default_value_t = 32)]
    pub clients: usize,
}

/// Arguments of `make-services`.
#[derive(Arguments)]
pub struct MakeServices {
    #[command(flatten)]
    pub place: Place,
    /// The port
    #[arg(long)]
    pub port: u16,
    /// The client's certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Its key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// How many
    #[arg(long, default_value_t = 10_000)]
    pub count: u64,
    /// Endpoints of each
    #[arg(long, default_value_t = 2)]
    pub endpoints: u64,
    /// The address that some of them lead to
    #[arg(long)]
    pub address: Ipv4Addr,
}

/// Arguments of `sync-services`; the processes are the proxy's.
#[derive(Arguments)]
pub struct SyncServices {
    #[command(flatten)]
    pub place: Place,
    /// The API server's port
    #[arg(long)]
    pub port: u16,
    /// The client's certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Its key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// How many there are
    #[arg(long, default_value_t = 10_000)]
    pub count: u64,
    /// The address that some of them lead to
    #[arg(long)]
    pub address: Ipv4Addr,
    /// How many changes
    #[arg(long, default_value_t = 5)]
    pub changes: usize,
}

/// Arguments of `copy`.
#[derive(Arguments)]
pub struct Copy {
    /// What to serve
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where
    #[arg(long)]
    pub port: u16,
}

/// Arguments of `table`.
#[derive(Arguments)]
pub struct Table {
    /// The figures
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// As Markdown
    #[arg(long)]
    pub markdown: bool,
}
