//! The `loopback` plugin: sets a container's loopback link up. containerd asks for it beside the network's own.

use decapod_sys::netlink::{LinkChange, Links, RouteSocket};
use serde_json::{Value, json};

use super::Request;
use super::report::{Failure, INVALID_ENVIRONMENT};

/// Serves a request.
pub fn serve(request: &Request) -> Result<Option<Value>, Failure> {
    match request.command.as_str() {
        "ADD" => add(request).map(Some),
        "CHECK" => {
            let up = request.namespace()?.run(|| RouteSocket::open().and_then(|links| links.get("lo")))??.up;
            if up { Ok(None) } else { Err(Failure::new(super::report::FAILED, "the loopback link is down")) }
        }
        // The link goes with its namespace.
        "DEL" | "GC" | "STATUS" => Ok(None),
        other => {
            Err(Failure::new(INVALID_ENVIRONMENT, format!("CNI_COMMAND {other:?} is none of the commands")))
        }
    }
}

fn add(request: &Request) -> Result<Value, Failure> {
    request.namespace()?.run(|| {
        let links = RouteSocket::open()?;
        let lo = links.get("lo")?;
        links.change(lo.index, &LinkChange { up: Some(true), ..LinkChange::default() })
    })??;
    let sandbox = request.namespace.as_ref().map(|path| path.display().to_string());
    Ok(json!({
        "interfaces": [{ "name": "lo", "mac": "00:00:00:00:00:00", "sandbox": sandbox }],
        "ips": [{ "interface": 0, "address": "127.0.0.1/8" }],
    }))
}
