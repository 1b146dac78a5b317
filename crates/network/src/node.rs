//! The node's side of the network: the link, the tables and the settings, made at start and removed at uninstall.

use decapod_sys::netlink::{Link, LinkChange, Mac, Route};
use decapod_sys::sysctl::Sysctls;

use ipnet::IpNet;

use crate::config::NetworkConfig;
use crate::kernel::Kernel;
use crate::ledger::{Ledger, SysctlChange};
use crate::{NetworkError, at, routes, table};

/// The hardware address of the node towards every pod; each is alone with it.
pub(crate) const NODE_MAC: Mac = Mac([0xee; 6]);

/// Up, and nothing else.
pub(crate) const UP: LinkChange = LinkChange { up: Some(true), mtu: None, mac: None };

/// Which of the machine's settings have to change. Keep it before [`ensure`] makes the changes.
pub fn plan(kernel: &Kernel, config: &NetworkConfig) -> Ledger {
    let mut ledger = Ledger::default();
    let sysctls = &*kernel.sysctls;
    if config.pod_cidrs.iter().any(|cidr| cidr.addr().is_ipv4()) {
        plan_ipv4(&mut ledger, sysctls);
    }
    if config.pod_cidrs.iter().any(|cidr| cidr.addr().is_ipv6()) {
        plan_ipv6(&mut ledger, sysctls);
    }
    ledger
}

/// Makes the link and the tables, and the settings as planned. What is there and right stays.
pub fn ensure(kernel: &Kernel, config: &NetworkConfig, planned: &Ledger) -> Result<(), NetworkError> {
    for change in planned.sysctls.iter().filter(|change| change.before != change.after) {
        let written = kernel.sysctls.write(&change.name, &change.after);
        written.map_err(|error| NetworkError::Sysctl { name: change.name.clone(), error })?;
    }
    ensure_link(kernel, config)?;
    ensure_tables(kernel, config)
}

/// Removes all links, the tables and the leases, and puts the settings back. Goes on past what fails;
/// returns that.
pub fn remove(kernel: &Kernel, config: &NetworkConfig, ledger: &Ledger) -> Vec<String> {
    let mut failed = Vec::new();
    let mut note = |result: Result<(), String>| failed.extend(result.err());
    note(routes::remove(kernel, config).map_err(|error| error.to_string()));
    note(remove_links(kernel, config).map_err(|error| error.to_string()));
    for family in config.families() {
        note(kernel.nftables.apply(&table::removal(config, family)).map_err(|error| error.to_string()));
    }
    match std::fs::remove_dir_all(&config.state_dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            note(Err(format!("cannot remove {}: {error}", config.state_dir.display())));
        }
        _ => {}
    }
    let unrestored = ledger.restore(&*kernel.sysctls).into_iter();
    failed.extend(unrestored.map(|(name, error)| format!("cannot set {name} back: {error}")));
    failed
}

/// Makes the node's own link: it holds the gateways' addresses and the route to the services, which are gone with it.
/// It is a bridge without ports, for not every kernel has dummy links.
pub(crate) fn ensure_link(kernel: &Kernel, config: &NetworkConfig) -> Result<(), NetworkError> {
    let links = &*kernel.links;
    let gateways: Vec<_> = config.pod_cidrs.iter().map(NetworkConfig::gateway).collect();
    if at("look for the node's link", links.find(&config.link))?.is_none() {
        match links.add_bridge(&config.link, NODE_MAC, config.mtu) {
            Err(error) if error.is_exists() => {}
            made => at("make the node's link", made)?,
        }
    }
    let link = at("look for the node's link", links.get(&config.link))?;
    if !link.up {
        at("set the node's link up", links.change(link.index, &UP))?;
    }
    let addresses = at("read the node's addresses", links.addresses(link.index))?;
    for gateway in gateways.iter().map(|gateway| IpNet::from(*gateway)).filter(|net| !addresses.contains(net))
    {
        at("give the node its address", links.add_address(link.index, gateway))?;
    }
    let routes = at("read the node's routes", links.routes(link.index))?;
    for to in config.service_cidrs.iter().map(IpNet::trunc) {
        let source = gateways.iter().find(|gateway| gateway.is_ipv4() == to.addr().is_ipv4()).copied();
        if source.is_some() && !routes.iter().any(|route| route.to == to) {
            let route = Route { to, gateway: None, link: link.index, source };
            at("route the services' addresses", links.set_route(&route))?;
        }
    }
    Ok(())
}

/// Makes the tables as they have to be. Host ports that are there stay.
pub(crate) fn ensure_tables(kernel: &Kernel, config: &NetworkConfig) -> Result<(), NetworkError> {
    for family in config.families() {
        kernel.nftables.apply(&table::compile(config, family))?;
    }
    Ok(())
}

fn remove_links(kernel: &Kernel, config: &NetworkConfig) -> Result<(), NetworkError> {
    let links = at("list links", kernel.links.links())?;
    let ours = |link: &&Link| match link.kind.as_str() {
        "veth" => link.name.starts_with(&config.pod_links),
        "bridge" => link.name == config.link,
        _ => false,
    };
    for link in links.iter().filter(ours) {
        match kernel.links.delete(link.index) {
            Err(error) if error.is_absent() => {}
            deleted => at("remove a link", deleted)?,
        }
    }
    Ok(())
}

/// Turning forwarding on and off also moves each link's own switch and `accept_redirects`; what they were has to be
/// known to put them back (net/ipv4/devinet.c, inet_forward_change).
fn plan_ipv4(ledger: &mut Ledger, sysctls: &dyn Sysctls) {
    if !plan_change(ledger, sysctls, "net/ipv4/ip_forward", "1") {
        return;
    }
    note(ledger, sysctls, "net/ipv4/conf/all/accept_redirects");
    for link in sysctls.list("net/ipv4/conf").iter().filter(|link| *link != "all") {
        let name = format!("net/ipv4/conf/{link}/forwarding");
        if sysctls.read(&name).is_ok_and(|now| now != "0") {
            note(ledger, sysctls, &name);
        }
    }
}

/// A router does not listen to other routers unless told twice: without that, a machine that has its own route from
/// a router's advertisements would lose it (Documentation/networking/ip-sysctl, accept_ra).
fn plan_ipv6(ledger: &mut Ledger, sysctls: &dyn Sysctls) {
    if sysctls.read("net/ipv6/conf/all/forwarding").is_ok_and(|now| now == "1") {
        return;
    }
    for link in sysctls.list("net/ipv6/conf") {
        let name = format!("net/ipv6/conf/{link}/accept_ra");
        if link != "all" && link != "lo" && sysctls.read(&name).is_ok_and(|now| now == "1") {
            plan_change(ledger, sysctls, &name, "2");
        }
    }
    plan_change(ledger, sysctls, "net/ipv6/conf/all/forwarding", "1");
}

/// Plans to set `name` to `after`; whether that is a change.
fn plan_change(ledger: &mut Ledger, sysctls: &dyn Sysctls, name: &str, after: &str) -> bool {
    match sysctls.read(name) {
        Ok(before) if before != after => {
            ledger.sysctls.push(SysctlChange { name: name.to_owned(), before, after: after.to_owned() });
            true
        }
        _ => false,
    }
}

/// Keeps what `name` is.
fn note(ledger: &mut Ledger, sysctls: &dyn Sysctls, name: &str) {
    if let Ok(before) = sysctls.read(name) {
        ledger.sysctls.push(SysctlChange { name: name.to_owned(), after: before.clone(), before });
    }
}
