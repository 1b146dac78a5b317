//! Packets that somebody has tampered with: whatever they say, nothing panics and every reply is well formed.

use std::time::Duration;

use proptest::prelude::*;

use super::{build, empty_zone, query};
use crate::answer::{Next, answer};
use crate::cache::{Cache, shape};
use crate::forward::check;
use crate::name::Name;
use crate::wire::{HEAD, Over, Query, RawRecord, kind, u16_at, write_cut};
use crate::zone::Zone;

fn zone() -> Zone {
    let mut zone = empty_zone();
    for line in [
        "namespace default",
        "service default/web 10.43.0.7,fd00::7 http:tcp:80",
        "headless default/db",
        "slice default/db-1 db 10.42.0.5=db-0,10.42.0.6 sql:tcp:5432",
        "external default/out example.com",
    ] {
        build(&mut zone, line);
    }
    zone
}

/// Packets to begin with: queries and replies.
fn seeds(zone: &Zone) -> Vec<Vec<u8>> {
    let names = [
        "web.default.svc.cluster.local",
        "_sql._tcp.db.default.svc.cluster.local",
        "out.default.svc.cluster.local",
        "5.0.42.10.in-addr.arpa",
        "example.com",
        "",
    ];
    let mut packets = Vec::new();
    for (i, name) in names.iter().enumerate() {
        for kind in [kind::A, kind::SRV, kind::ANY, kind::PTR] {
            let asked = query(i as u16, name, kind, (i % 2 == 0).then_some(1232));
            let mut out = Vec::new();
            answer(zone, true, &asked, Over::Tcp, &mut out);
            packets.extend([asked, out].into_iter().filter(|packet| !packet.is_empty()));
        }
    }
    packets
}

/// Every record of a reply can be read, and there is nothing behind them.
fn check_form(packet: &[u8]) {
    let count = |at| u32::from(u16_at(packet, at).unwrap());
    let mut at = HEAD;
    for _ in 0..count(4) {
        at = Name::read(packet, at).unwrap().1 + 4;
    }
    for _ in 0..count(6) + count(8) + count(10) {
        at = RawRecord::read(packet, at).unwrap().end;
    }
    assert_eq!(at, packet.len());
}

fn feed(zone: &Zone, packet: &[u8]) {
    let mut out = Vec::new();
    for over in [Over::Udp, Over::Tcp] {
        let next = answer(zone, true, packet, over, &mut out);
        match next {
            Next::Silence => continue,
            Next::Send => {
                assert_eq!(out[..2], packet[..2]);
                assert!(out[2] & 0x80 != 0 && (over == Over::Tcp || out.len() <= 1232));
                check_form(&out);
            }
            Next::Forward(query) | Next::Follow(query, ..) => {
                write_cut(&out, &query, packet, &mut Vec::new());
                assert_eq!(query.question_end, HEAD + query.name.wire().len() + 4);
            }
        }
    }
    // As if it came from another server.
    if let Ok(query) = Query::read(packet) {
        let mut reply = packet.to_vec();
        reply[2] |= 0x80;
        check(&reply, packet);
        let mut cut = Vec::new();
        write_cut(&reply, &query, packet, &mut cut);
        check_form(&cut);
    }
    if let Some(form) = Name::read(packet, HEAD).and_then(|(_, at)| shape(packet, at + 4)) {
        let mut cache = Cache::new(1000);
        cache.put(&b"key".to_vec(), packet, &form, Duration::ZERO);
        cache.get(&b"key".to_vec(), Duration::from_secs(1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn tampered_packets(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
        tail in prop::collection::vec(any::<u8>(), 0..16),
    ) {
        let zone = zone();
        let seeds = seeds(&zone);
        let mut packet = seeds[which.index(seeds.len())].clone();
        for (at, byte) in edits {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        if cut {
            packet.truncate(length.index(packet.len() + 1));
        }
        packet.extend(tail);
        feed(&zone, &packet);
    }

    #[test]
    fn noise(packet in prop::collection::vec(any::<u8>(), 0..600)) {
        feed(&zone(), &packet);
    }
}

#[test]
fn replies_are_remembered_as_long_as_they_say_and_no_more_of_them_than_allowed() {
    let zone = zone();
    let asked = query(0, "web.default.svc.cluster.local", kind::A, None);
    let mut reply = Vec::new();
    answer(&zone, true, &asked, Over::Udp, &mut reply);
    let form = shape(&reply, asked.len()).unwrap();
    assert_eq!((form.ttl, form.code, form.is_cut), (Some(30), 0, false));
    let mut cache = Cache::new(2000);
    cache.put(&asked, &reply, &form, Duration::from_secs(10));
    let known = cache.get(&asked, Duration::from_secs(25)).unwrap();
    assert_eq!(RawRecord::read(&known, asked.len()).unwrap().ttl, 15);
    assert_eq!(cache.get(&asked, Duration::from_secs(40)), None);
    for i in 0..100 {
        cache.put(&vec![i], &reply, &form, Duration::from_secs(u64::from(i)));
    }
    assert!(cache.len() > 3 && cache.len() < 9 && cache.get(&vec![99], Duration::from_secs(99)).is_some());
    // What is not there, for as long as the zone says; a cut reply not at all.
    let asked = query(0, "absent.default.svc.cluster.local", kind::A, None);
    answer(&zone, true, &asked, Over::Udp, &mut reply);
    assert_eq!(shape(&reply, asked.len()).unwrap().ttl, Some(30));
    reply[2] |= 0x02;
    assert_eq!(shape(&reply, asked.len()).unwrap().ttl, None);
}
