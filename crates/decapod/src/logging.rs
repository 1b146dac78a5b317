//! The log: short, levelled, on standard error, and quiet when all is well.

use tracing_subscriber::EnvFilter;

/// Starts logging. `DECAPOD_LOG` overrides the level, in tracing's syntax.
pub fn start(verbose: u8) {
    let level = match verbose {
        0 => "warn,decapod=info",
        1 => "info,decapod=debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("DECAPOD_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
}
