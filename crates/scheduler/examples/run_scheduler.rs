//! The scheduler alone, against any API server: `cargo run --example run_scheduler KUBECONFIG [NAME]`. With another name
//! than `default-scheduler` it can run beside upstream's, each for the pods that name it.

use std::path::Path;

use decapod_client::{Client, Remote, kubeconfig};
use decapod_scheduler::{Config, Scheduler};
use decapod_sys::Env;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: run_scheduler KUBECONFIG [NAME]")?;
    let name = arguments.next().unwrap_or_else(|| Config::default().name);
    let env = Env::system();
    let client = Client::new(Remote::new(&env, kubeconfig::load(Path::new(&path), None)?)?);
    let scheduler = Scheduler::start(&env, client, Config { name, ..Config::default() });
    scheduler.ready().await;
    println!("ready");
    std::future::pending::<()>().await;
    Ok(())
}
