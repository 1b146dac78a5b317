//! The CNI plugin: a container runtime starts this binary under one of the names in
//! [`install::PLUGINS`](crate::install::PLUGINS), with the request in the environment and on standard input.
//!
//! CNI specification 1.0 and 1.1: ADD, DEL, CHECK, GC, STATUS and VERSION. The answer is JSON on standard output, for
//! refusals too.

mod attach;
pub mod conf;
mod loopback;
pub mod report;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::NetworkConfig;
use crate::ipam::Attachment;
use crate::kernel::Kernel;
use conf::Conf;
use report::{
    DECODING_FAILURE, Failure, INCOMPATIBLE_VERSION, INVALID_CONFIGURATION, INVALID_ENVIRONMENT, IO_FAILURE,
    VERSIONS,
};

/// A request, understood.
pub(crate) struct Request {
    /// What is asked.
    pub command: String,
    /// Of whom; empty for GC, STATUS and VERSION.
    pub attachment: Attachment,
    /// The container's network namespace; DEL may come without.
    pub namespace: Option<PathBuf>,
    /// Everything else.
    pub conf: Conf,
}

/// Whether `argv0` is a name under which a runtime calls the plugin.
pub fn is_plugin(argv0: &str) -> bool {
    crate::install::PLUGINS.contains(&argv0.rsplit('/').next().unwrap_or(argv0))
}

/// Does what the request asks in the calling thread's network namespace, and answers. `variable` looks up the
/// environment.
pub fn cni_main(
    variable: &dyn Fn(&str) -> Option<String>,
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
) -> ExitCode {
    let mut version = VERSIONS[0].to_owned();
    let answer = read(variable, stdin).and_then(|request| {
        if VERSIONS.contains(&request.conf.version.as_str()) {
            version.clone_from(&request.conf.version);
        }
        serve(&request)
    });
    let (text, code) = match answer {
        Ok(None) => (String::new(), ExitCode::SUCCESS),
        Ok(Some(mut answer)) => {
            answer["cniVersion"] = json!(version);
            (format!("{answer}\n"), ExitCode::SUCCESS)
        }
        Err(failure) => (format!("{}\n", failure.to_json(&version)), ExitCode::FAILURE),
    };
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn read(variable: &dyn Fn(&str) -> Option<String>, stdin: &mut dyn Read) -> Result<Request, Failure> {
    let mut input = Vec::new();
    stdin.read_to_end(&mut input).map_err(|error| Failure::new(IO_FAILURE, error.to_string()))?;
    let conf = serde_json::from_slice(&input).map_err(|error| {
        Failure::new(DECODING_FAILURE, format!("the configuration on standard input does not read: {error}"))
    })?;
    let get = |name: &str| variable(name).unwrap_or_default();
    let attachment = Attachment { container: get("CNI_CONTAINERID"), interface: get("CNI_IFNAME") };
    let namespace = Some(get("CNI_NETNS")).filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(Request { command: get("CNI_COMMAND"), attachment, namespace, conf })
}

/// The answer; `None` where success has none.
fn serve(request: &Request) -> Result<Option<Value>, Failure> {
    if request.command == "VERSION" {
        return Ok(Some(json!({ "supportedVersions": VERSIONS })));
    }
    if !VERSIONS.contains(&request.conf.version.as_str()) {
        let text = format!("CNI version {:?} is not spoken; {VERSIONS:?} are", request.conf.version);
        return Err(Failure::new(INCOMPATIBLE_VERSION, text));
    }
    if matches!(request.command.as_str(), "ADD" | "DEL" | "CHECK") {
        validate(&request.attachment)?;
    }
    if request.conf.plugin == "loopback" {
        return loopback::serve(request);
    }
    let network = request.conf.network.as_ref();
    let network =
        network.ok_or_else(|| Failure::new(INVALID_CONFIGURATION, "the field \"network\" is missing"))?;
    let kernel = Kernel::system()?;
    match request.command.as_str() {
        "ADD" => attach::add(&kernel, network, request).map(Some),
        "DEL" => attach::del(&kernel, network, &request.attachment).map(|()| None),
        "CHECK" => attach::check(&kernel, network, request).map(|()| None),
        "GC" => attach::gc(&kernel, network, request).map(|()| None),
        "STATUS" => attach::status(&kernel, network).map(|()| None),
        other => {
            Err(Failure::new(INVALID_ENVIRONMENT, format!("CNI_COMMAND {other:?} is none of the commands")))
        }
    }
}

/// Both become part of a file's name.
fn validate(attachment: &Attachment) -> Result<(), Failure> {
    let Attachment { container, interface } = attachment;
    let good = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    };
    if !good(container) || container.len() > 128 {
        return Err(Failure::new(
            INVALID_ENVIRONMENT,
            format!("CNI_CONTAINERID {container:?} is no container id"),
        ));
    }
    if !good(interface) || interface.len() > 15 {
        return Err(Failure::new(INVALID_ENVIRONMENT, format!("CNI_IFNAME {interface:?} is no link name")));
    }
    Ok(())
}

impl Request {
    /// The container's network namespace, where it has to be given.
    pub fn namespace(&self) -> Result<decapod_sys::netns::Namespace, Failure> {
        let path = self.namespace.as_deref();
        let path = path.ok_or_else(|| Failure::new(INVALID_ENVIRONMENT, "CNI_NETNS is missing"))?;
        Ok(decapod_sys::netns::Namespace::open(path)?)
    }
}

/// Where a pod of `config` finds everything: the gateway of the network that `address` is of.
pub(crate) fn gateway_of(config: &NetworkConfig, address: std::net::IpAddr) -> Option<std::net::IpAddr> {
    config.pod_cidrs.iter().find(|cidr| cidr.contains(&address)).map(NetworkConfig::gateway)
}
