//! Queries against a zone from text, hostile packets, and the sockets.

mod hostile;
mod sockets;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use crate::answer::{Next, answer};
use crate::name::Name;
use crate::wire::{HEAD, Over, RawRecord, kind, u16_at, u32_at};
use crate::zone::Zone;

const KINDS: [(&str, u16); 9] = [
    ("A", kind::A),
    ("NS", kind::NS),
    ("CNAME", kind::CNAME),
    ("SOA", kind::SOA),
    ("PTR", kind::PTR),
    ("TXT", kind::TXT),
    ("AAAA", kind::AAAA),
    ("SRV", kind::SRV),
    ("ANY", kind::ANY),
];

fn empty_zone() -> Zone {
    Zone::new(Name::parse("cluster.local").unwrap(), 30, vec!["10.43.0.10".parse().unwrap()])
}

/// `http:tcp:80`
fn port(text: &str) -> Value {
    let parts: Vec<&str> = text.split(':').collect();
    json!({"name": parts[0], "protocol": parts[1].to_uppercase(), "port": parts[2].parse::<i32>().unwrap()})
}

/// ```text
/// namespace default                          no-namespace default
/// service default/web 10.43.0.7,fd00::7 http:tcp:80      no-service default/web
/// headless default/db                        external default/out example.com
/// slice default/db-1 db 10.42.0.5=db-0,10.42.0.6,10.42.0.7! http:tcp:80        `!` is not ready
/// ```
fn build(zone: &mut Zone, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let split =
        |key: &'static str, at: usize| words[at].split_once('/').unwrap_or_else(|| panic!("{key}: {line}"));
    let service =
        |spec: Value| -> Service { serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap() };
    match words[0] {
        "namespace" => zone.set_namespace(words[1], true),
        "no-namespace" => zone.set_namespace(words[1], false),
        "service" => {
            let (namespace, name) = split("service", 1);
            let ports: Vec<Value> = words[3..].iter().map(|text| port(text)).collect();
            let addresses: Vec<&str> = words[2].split(',').collect();
            zone.set_service(
                namespace,
                name,
                Some(&service(json!({"clusterIPs": addresses, "ports": ports}))),
            );
        }
        "headless" => {
            let (namespace, name) = split("headless", 1);
            zone.set_service(namespace, name, Some(&service(json!({"clusterIP": "None"}))));
        }
        "external" => {
            let (namespace, name) = split("external", 1);
            let spec = json!({"type": "ExternalName", "externalName": words[2]});
            zone.set_service(namespace, name, Some(&service(spec)));
        }
        "no-service" => {
            let (namespace, name) = split("no-service", 1);
            zone.set_service(namespace, name, None);
        }
        "slice" => {
            let (namespace, name) = split("slice", 1);
            let endpoint = |text: &str| {
                let ready = !text.ends_with('!');
                let text = text.trim_end_matches('!');
                let (address, hostname) = text.split_once('=').unwrap_or((text, ""));
                json!({"addresses": [address], "hostname": hostname, "conditions": {"ready": ready}})
            };
            let endpoints: Vec<Value> = words[3].split(',').map(endpoint).collect();
            let ports: Vec<Value> = words[4..].iter().map(|text| port(text)).collect();
            let slice: EndpointSlice = serde_json::from_value(json!({
                "metadata": {"labels": {"kubernetes.io/service-name": words[2]}},
                "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
            }))
            .unwrap();
            zone.set_slice(namespace, name, Some(&slice));
        }
        "no-slice" => {
            let (namespace, name) = split("no-slice", 1);
            zone.set_slice(namespace, name, None);
        }
        _ => panic!("no such command: {line}"),
    }
}

/// A query; with `edns` the size that the asker takes.
fn query(id: u16, name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())]);
    for label in name.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(kind.to_be_bytes());
    packet.extend([0, 1]);
    if let Some(size) = edns {
        packet.extend([0, 0, 41]);
        packet.extend(size.to_be_bytes());
        packet.extend([0; 6]);
    }
    packet
}

fn data_text(packet: &[u8], record: &RawRecord) -> String {
    let name = |at: usize| Name::read(packet, at).map(|(name, _)| name.to_string()).unwrap();
    let data = &packet[record.data_at..record.end];
    match record.kind {
        kind::A => std::net::Ipv4Addr::from(<[u8; 4]>::try_from(data).unwrap()).to_string(),
        kind::AAAA => std::net::Ipv6Addr::from(<[u8; 16]>::try_from(data).unwrap()).to_string(),
        kind::CNAME | kind::PTR | kind::NS => name(record.data_at),
        kind::TXT => format!("{:?}", String::from_utf8_lossy(&data[1..])),
        kind::SRV => {
            let [priority, weight, port] = [0, 2, 4].map(|at| u16_at(data, at).unwrap());
            format!("{priority} {weight} {port} {}", name(record.data_at + 6))
        }
        kind::SOA => format!("{} … {}", name(record.data_at), u32_at(data, data.len() - 4).unwrap()),
        _ => format!("{} bytes", data.len()),
    }
}

/// A reply as people read it: the code and flags, and a line for each record.
fn reply_text(packet: &[u8]) -> String {
    const CODES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
    let mut out = CODES[usize::from(packet[3] & 0xf)].to_owned();
    for (bit, flag) in [(0x04, " aa"), (0x02, " tc")] {
        if packet[2] & bit != 0 {
            out += flag;
        }
    }
    out.push('\n');
    let mut at = HEAD;
    for _ in 0..u16_at(packet, 4).unwrap() {
        at = Name::read(packet, at).unwrap().1 + 4;
    }
    for (section, count_at) in [("", 6), ("authority ", 8), ("additional ", 10)] {
        for _ in 0..u16_at(packet, count_at).unwrap() {
            let record = RawRecord::read(packet, at).unwrap();
            at = record.end;
            let kind = KINDS.iter().find(|(_, kind)| *kind == record.kind).map_or("OPT", |(name, _)| name);
            out +=
                &format!("{section}{} {} {kind} {}\n", record.owner, record.ttl, data_text(packet, &record));
        }
    }
    assert_eq!(at, packet.len(), "nothing is left over");
    out
}

fn ask(zone: &Zone, name: &str, kind: u16) -> String {
    let packet = query(0, name, kind, None);
    let mut out = Vec::new();
    match answer(zone, true, &packet, Over::Udp, &mut out) {
        Next::Send => reply_text(&out),
        Next::Forward(query) => format!("forward {}\n", query.name),
        Next::Follow(query, reply, target) => {
            reply.write(&query, &packet, 512, &mut out);
            format!("{}follow {target}\n", reply_text(&out))
        }
        Next::Silence => "silence\n".to_owned(),
    }
}

/// Lines of objects build the zone, `? TYPE name` asks, and lines that begin with `> ` are the answer. With `REWRITE` set
/// in the environment the file is made to say what the answers are.
#[test]
fn table() {
    let text = include_str!("table.txt");
    let mut zone = empty_zone();
    let mut got = String::new();
    for line in text.lines().filter(|line| !line.starts_with('>')) {
        got += &format!("{line}\n");
        match line.strip_prefix("? ") {
            Some(question) => {
                let (kind, name) = question.split_once(' ').unwrap();
                let kind = KINDS.iter().find(|(known, _)| *known == kind).unwrap().1;
                got.extend(ask(&zone, name, kind).lines().map(|line| format!("> {line}\n")));
            }
            None if line.is_empty() || line.starts_with('#') => {}
            None => build(&mut zone, line),
        }
    }
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/table.txt"), &got).unwrap();
    } else {
        assert!(got == text, "not as written; it should read:\n{got}");
    }
}

#[test]
fn an_asker_gets_what_it_takes() {
    let mut zone = empty_zone();
    build(&mut zone, "namespace default");
    build(&mut zone, "headless default/big");
    let endpoints: Vec<String> = (1..=200).map(|i| format!("10.42.1.{i}")).collect();
    build(&mut zone, &format!("slice default/big-1 big {}", endpoints.join(",")));
    let ask = |edns: Option<u16>, over: Over| {
        let mut out = Vec::new();
        let packet = query(7, "big.default.svc.cluster.local", kind::A, edns);
        assert!(matches!(answer(&zone, true, &packet, over, &mut out), Next::Send));
        (out.len(), u16_at(&out, 6).unwrap(), out[2] & 0x02 != 0)
    };
    let (length, answers, cut) = ask(None, Over::Udp);
    assert!(length <= 512 && cut && answers > 20, "{length} {answers}");
    let (length, answers, cut) = ask(Some(4096), Over::Udp);
    assert!(length <= 1232 && length > 1200 && cut && answers > 60, "{length} {answers}");
    assert_eq!(ask(None, Over::Tcp).1, 200);
    assert!(!ask(None, Over::Tcp).2);
}

#[test]
fn answers_take_turns() {
    let mut zone = empty_zone();
    build(&mut zone, "namespace default");
    build(&mut zone, "headless default/db");
    build(&mut zone, "slice default/db-1 db 10.42.0.1,10.42.0.2,10.42.0.3");
    let mut firsts = BTreeMap::new();
    for id in 0..9 {
        let packet = query(id, "db.default.svc.cluster.local", kind::A, None);
        let mut out = Vec::new();
        answer(&zone, true, &packet, Over::Udp, &mut out);
        let text = reply_text(&out);
        let first = text.lines().nth(1).unwrap().rsplit(' ').next().unwrap().to_owned();
        *firsts.entry(first).or_insert(0) += 1;
    }
    assert_eq!(firsts.into_values().collect::<Vec<_>>(), [3, 3, 3]);
}

#[test]
fn the_head_of_a_reply() {
    let mut zone = empty_zone();
    build(&mut zone, "namespace default");
    build(&mut zone, "service default/web 10.43.0.7");
    let mut out = Vec::new();
    // In the asker's own spelling.
    let packet = query(0x1234, "WEB.default.SVC.cluster.local", kind::A, Some(1232));
    answer(&zone, true, &packet, Over::Udp, &mut out);
    assert_eq!(out[..2], [0x12, 0x34]);
    assert_eq!(out[12..16], *b"\x03WEB");
    assert_eq!(u16_at(&out, 10), Some(1), "EDNS is answered with EDNS");
    // While nothing is known, names of the cluster fail, so that nobody remembers that they are not there.
    answer(&zone, false, &packet, Over::Udp, &mut out);
    assert_eq!(out[3] & 0xf, 2);
    // Others do not use what others say of the version.
    let mut packet = packet;
    let version_at = packet.len() - 5;
    packet[version_at] = 1;
    answer(&zone, true, &packet, Over::Udp, &mut out);
    assert_eq!((out[3] & 0xf, out.len()), (0, HEAD + 11), "BADVERS stands in EDNS");
    assert_eq!(out[HEAD + 5], 1);
    // A reply is no query; another opcode is not implemented.
    packet[2] |= 0x80;
    assert!(matches!(answer(&zone, true, &packet, Over::Udp, &mut out), Next::Silence));
    packet[2] = 0x28;
    answer(&zone, true, &packet, Over::Udp, &mut out);
    assert_eq!(out[3] & 0xf, 4);
}

#[test]
fn what_is_gone_leaves_nothing() {
    let mut zone = empty_zone();
    for line in [
        "namespace a",
        "service a/s 10.43.0.1 x:tcp:1",
        "headless a/h",
        "slice a/h-1 h 10.42.0.1=one",
        "slice a/h-2 h 10.42.0.1=one",
        "slice a/h-1 s 10.42.0.2",
        "service a/s 10.43.0.2 x:tcp:1",
        "no-slice a/h-1",
        "no-slice a/h-2",
        "no-service a/s",
        "no-service a/h",
        "no-namespace a",
    ] {
        build(&mut zone, line);
    }
    assert_eq!((zone.sizes(), zone.namespaces.len()), ([0, 0, 0], 0));
}
