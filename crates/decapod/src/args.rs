//! What can be said on the command line.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args as Arguments, Parser, Subcommand};

/// Kubernetes as one small binary.
#[derive(Parser)]
#[command(name = "decapod", version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Args {
    /// Say more of what happens; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Run the API server alone, on the embedded store
    ///
    /// It writes DIR/admin.kubeconfig and is usable at once:
    ///
    ///   decapod apiserver --data-dir /tmp/api --port 6443 &
    ///   kubectl --kubeconfig /tmp/api/admin.kubeconfig get namespaces
    #[command(verbatim_doc_comment)]
    Apiserver(Apiserver),
    /// Print the version
    Version,
}

/// Arguments of `decapod apiserver`.
#[derive(Arguments)]
pub struct Apiserver {
    /// Where data, keys and certificates are kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/decapod")]
    pub data_dir: PathBuf,
    /// The port to listen on
    #[arg(long, value_name = "PORT", default_value_t = 6443)]
    pub port: u16,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    pub bind_address: Ipv4Addr,
    /// The address under which pods and other nodes reach this server
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub advertise_address: Ipv4Addr,
    /// The network that services get their addresses from
    #[arg(long, value_name = "CIDR", default_value = "10.43.0.0/16", value_parser = cidr)]
    pub service_cidr: (Ipv4Addr, u8),
    /// The cluster's DNS domain
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
}

/// `10.43.0.0/16`.
pub fn cidr(text: &str) -> Result<(Ipv4Addr, u8), String> {
    let wrong = || format!("{text:?} is no IPv4 network such as 10.43.0.0/16");
    let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
    let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
    let bits: u8 = bits.parse().map_err(|_| wrong())?;
    if !(8..=28).contains(&bits) {
        return Err(format!("{text:?}: the prefix has to be between /8 and /28"));
    }
    let mask = u32::MAX << (32 - u32::from(bits));
    if u32::from(address) & !mask != 0 {
        return Err(format!("{text:?}: the address has bits set outside the prefix"));
    }
    Ok((address, bits))
}
