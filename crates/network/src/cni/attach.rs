//! Ties a container to the node and unties it.

use decapod_sys::netlink::{Links, Mac, Neighbour, NetlinkError, Route, RouteSocket, Veth};
use decapod_sys::netns::Namespace;
use decapod_sys::nftables::{Batch, Change, Family};
use ipnet::IpNet;
use serde_json::{Value, json};
use std::os::fd::AsFd;

use super::report::{FAILED, Failure, INVALID_CONFIGURATION, NOT_AVAILABLE};
use super::{Request, gateway_of};
use crate::config::NetworkConfig;
use crate::ipam::{Attachment, Lease, Leases};
use crate::kernel::Kernel;
use crate::node::{NODE_MAC, UP};
use crate::{NetworkError, at, node, table};

/// ADD: gives the container an interface, addresses and routes, and its host ports.
pub fn add(kernel: &Kernel, config: &NetworkConfig, request: &Request) -> Result<Value, Failure> {
    if config.pod_cidrs.is_empty() {
        return Err(Failure::new(INVALID_CONFIGURATION, "the field \"network.podCidrs\" is empty"));
    }
    let namespace = request.namespace()?;
    let leases = Leases::open(&config.state_dir)?;
    let lease = leases.take(&request.attachment, &config.pod_cidrs, &request.conf.runtime.ports)?;
    match connect(kernel, config, &namespace, &lease) {
        Ok(()) => {
            let sandbox = request.namespace.as_ref().map(|path| path.display().to_string());
            Ok(result(config, &lease, sandbox))
        }
        Err(error) => {
            // Half of it is of no use to anybody; what cannot be undone, DEL and GC find.
            if let Err(undo) = disconnect(kernel, config, &lease).and_then(|()| Ok(leases.release(&lease)?)) {
                return Err(Failure::new(FAILED, format!("{error}; and undoing it: {undo}")));
            }
            Err(error.into())
        }
    }
}

/// DEL: takes everything away. What is gone already is fine.
pub fn del(kernel: &Kernel, config: &NetworkConfig, attachment: &Attachment) -> Result<(), Failure> {
    let leases = Leases::open(&config.state_dir)?;
    match leases.find(attachment)? {
        Some(lease) => {
            disconnect(kernel, config, &lease)?;
            Ok(leases.release(&lease)?)
        }
        None => Ok(delete_link(kernel, config, attachment)?),
    }
}

/// CHECK: whether everything is as ADD made it.
pub fn check(kernel: &Kernel, config: &NetworkConfig, request: &Request) -> Result<(), Failure> {
    let wrong = |message: String| Failure::new(FAILED, message);
    let attachment = &request.attachment;
    let lease = Leases::open(&config.state_dir)?.find(attachment)?;
    let lease = lease.ok_or_else(|| wrong(format!("container {} has no addresses", attachment.container)))?;
    let name = config.pod_link(&attachment.container, &attachment.interface);
    if !kernel.links.get(&name)?.up {
        return Err(wrong(format!("{name} is down")));
    }
    let addresses = request.namespace()?.run(|| {
        let links = RouteSocket::open()?;
        let link = links.get(&attachment.interface)?;
        links.addresses(link.index)
    })??;
    match lease.addresses.iter().find(|address| !addresses.contains(&IpNet::from(**address))) {
        Some(missing) => Err(wrong(format!("{} does not have {missing}", attachment.interface))),
        None => Ok(()),
    }
}

/// GC: takes away what belongs to nobody that is still there.
pub fn gc(kernel: &Kernel, config: &NetworkConfig, request: &Request) -> Result<(), Failure> {
    let valid = request.conf.valid_attachments.as_ref();
    let valid =
        valid.ok_or_else(|| Failure::new(INVALID_CONFIGURATION, "cni.dev/valid-attachments is missing"))?;
    let leases = Leases::open(&config.state_dir)?;
    for lease in leases.list()? {
        let Attachment { container, interface } = &lease.attachment;
        if !valid.iter().any(|kept| kept.container == *container && kept.interface == *interface) {
            let lease = leases.with_ports(lease)?;
            disconnect(kernel, config, &lease)?;
            leases.release(&lease)?;
        }
    }
    Ok(())
}

/// STATUS: whether ADD would work.
pub fn status(kernel: &Kernel, config: &NetworkConfig) -> Result<(), Failure> {
    let unavailable = |error: &dyn std::fmt::Display| Failure::new(NOT_AVAILABLE, error.to_string());
    Leases::open(&config.state_dir).map_err(|error| unavailable(&error))?;
    kernel.links.links().map_err(|error| unavailable(&error)).map(drop)
}

/// Makes the pair of links and everything at both ends of it.
fn connect(
    kernel: &Kernel,
    config: &NetworkConfig,
    namespace: &Namespace,
    lease: &Lease,
) -> Result<(), NetworkError> {
    node::ensure_link(kernel, config)?;
    let Attachment { container, interface } = &lease.attachment;
    let (name, mac) = (config.pod_link(container, interface), mac_of(lease));
    delete_link(kernel, config, &lease.attachment)?;
    let veth = Veth {
        name: &name,
        mac: NODE_MAC,
        peer: interface,
        peer_mac: mac,
        peer_namespace: namespace.as_fd(),
        mtu: config.mtu,
    };
    let links = &*kernel.links;
    at("make the pod's pair of links", links.add_veth(&veth))?;
    let link = at("look for the pod's link", links.get(&name))?.index;
    set_link_rules(kernel, &name, lease)?;
    at("set the pod's link up", links.change(link, &UP))?;
    for address in &lease.addresses {
        let Some(gateway) = gateway_of(config, *address) else { continue };
        at("give the node its address", links.add_address(link, IpNet::from(gateway)))?;
        let route = Route { to: IpNet::from(*address), gateway: None, link, source: Some(gateway) };
        at("route the pod's address", links.set_route(&route))?;
        at("tell the node of the pod", links.set_neighbour(&Neighbour { address: *address, mac, link }))?;
    }
    at("give the pod its addresses", namespace.run(|| configure(config, lease))?)?;
    add_host_ports(kernel, config, lease)
}

/// The settings of the pod's link on the node.
fn set_link_rules(kernel: &Kernel, name: &str, lease: &Lease) -> Result<(), NetworkError> {
    // A packet has to come from where its source is routed to: pods cannot speak for other addresses.
    let mut settings = vec![(format!("net/ipv4/conf/{name}/rp_filter"), "1")];
    if !lease.ports.is_empty() {
        // For host ports on 127.0.0.1. The table lets no pod misuse it (CVE-2020-8558).
        settings.push((format!("net/ipv4/conf/{name}/route_localnet"), "1"));
    }
    for (name, value) in settings {
        match kernel.sysctls.write(&name, value) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            written => written.map_err(|error| NetworkError::Sysctl { name, error })?,
        }
    }
    Ok(())
}

/// The container's end, within its namespace.
fn configure(config: &NetworkConfig, lease: &Lease) -> Result<(), NetlinkError> {
    let links = RouteSocket::open()?;
    let link = links.get(&lease.attachment.interface)?.index;
    for address in &lease.addresses {
        links.add_address(link, IpNet::from(*address))?;
    }
    links.change(link, &UP)?;
    for address in &lease.addresses {
        let Some(gateway) = gateway_of(config, *address) else { continue };
        let source = Some(*address);
        links.set_neighbour(&Neighbour { address: gateway, mac: NODE_MAC, link })?;
        links.set_route(&Route { to: IpNet::from(gateway), gateway: None, link, source })?;
        links.set_route(&Route { to: anywhere(gateway.is_ipv4()), gateway: Some(gateway), link, source })?;
    }
    Ok(())
}

fn anywhere(ipv4: bool) -> IpNet {
    if ipv4 { "0.0.0.0/0" } else { "::/0" }.parse().expect("a network as written")
}

/// Takes away everything but the lease.
fn disconnect(kernel: &Kernel, config: &NetworkConfig, lease: &Lease) -> Result<(), NetworkError> {
    remove_host_ports(kernel, config, lease)?;
    delete_link(kernel, config, &lease.attachment)
}

fn delete_link(kernel: &Kernel, config: &NetworkConfig, attachment: &Attachment) -> Result<(), NetworkError> {
    let name = config.pod_link(&attachment.container, &attachment.interface);
    match at("look for the pod's link", kernel.links.find(&name))? {
        Some(link) => match kernel.links.delete(link.index) {
            Err(error) if error.is_absent() => Ok(()),
            deleted => at("remove the pod's link", deleted),
        },
        None => Ok(()),
    }
}

fn add_host_ports(kernel: &Kernel, config: &NetworkConfig, lease: &Lease) -> Result<(), NetworkError> {
    if lease.ports.is_empty() {
        return Ok(());
    }
    // Another pod's that ended without a word would be in the way.
    remove_host_ports(kernel, config, lease)?;
    node::ensure_tables(kernel, config)?;
    for address in &lease.addresses {
        let mut batch = Batch::new(family_of(address.is_ipv4()), &config.table);
        let elements = table::host_ports(*address, &lease.ports);
        let add = |(set, element)| Change::AddElements { set, elements: vec![element] };
        batch.changes.extend(elements.into_iter().map(add));
        kernel.nftables.apply(&batch)?;
    }
    Ok(())
}

fn remove_host_ports(kernel: &Kernel, config: &NetworkConfig, lease: &Lease) -> Result<(), NetworkError> {
    for address in &lease.addresses {
        for (set, element) in table::host_ports(*address, &lease.ports) {
            let mut batch = Batch::new(family_of(address.is_ipv4()), &config.table);
            batch.changes.push(Change::DeleteElements { set, elements: vec![element] });
            match kernel.nftables.apply(&batch) {
                Err(error) if error.is_absent() => {}
                result => result?,
            }
        }
    }
    Ok(())
}

fn family_of(ipv4: bool) -> Family {
    if ipv4 { Family::Ip } else { Family::Ip6 }
}

/// The container's hardware address: it follows from its first address, so that a stale memory of it is right too.
fn mac_of(lease: &Lease) -> Mac {
    lease.addresses.first().copied().map(Mac::of).unwrap_or_default()
}

fn result(config: &NetworkConfig, lease: &Lease, sandbox: Option<String>) -> Value {
    let Attachment { container, interface } = &lease.attachment;
    let ips: Vec<Value> = lease
        .addresses
        .iter()
        .map(|address| {
            let gateway = gateway_of(config, *address);
            json!({ "interface": 1, "address": IpNet::from(*address), "gateway": gateway })
        })
        .collect();
    let routes: Vec<Value> = lease
        .addresses
        .iter()
        .map(|address| json!({ "dst": anywhere(address.is_ipv4()), "gw": gateway_of(config, *address) }))
        .collect();
    json!({
        "interfaces": [
            { "name": config.pod_link(container, interface), "mac": NODE_MAC.to_string() },
            { "name": interface, "mac": mac_of(lease).to_string(), "sandbox": sandbox },
        ],
        "ips": ips,
        "routes": routes,
        "dns": {},
    })
}
