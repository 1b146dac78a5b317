//! Answers per second of the pure core: `cargo run --example dns_bench [services]`.

use decapod_dns::answer::{Next, answer};
use decapod_dns::name::Name;
use decapod_dns::wire::{Over, kind};
use decapod_dns::zone::Zone;
use k8s_openapi::api::core::v1::{Service, ServiceSpec};

fn main() {
    let services = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000u32);
    let mut zone = Zone::new(Name::parse("cluster.local").expect("a name"), 30, vec![]);
    zone.set_namespace("default", true);
    for i in 0..services {
        let cluster_ip = Some(std::net::Ipv4Addr::from(0x0a2b_0000 + i).to_string());
        let service =
            Service { spec: Some(ServiceSpec { cluster_ip, ..Default::default() }), ..Default::default() };
        zone.set_service("default", &format!("web-{i}"), Some(&service));
    }
    println!("{services} services");
    for (what, name) in [
        ("an address", "web-7.default.svc.cluster.local"),
        ("a name of the world under the search list", "example.com.default.svc.cluster.local"),
        ("a name of the world", "example.com"),
    ] {
        let mut packet = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        packet.extend_from_slice(Name::parse(name).expect("a name").wire());
        packet.extend_from_slice(&[0, kind::A as u8, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        let (mut out, rounds) = (Vec::new(), 500_000);
        let began = tokio::time::Instant::now();
        for _ in 0..rounds {
            assert!(!matches!(answer(&zone, true, &packet, Over::Udp, &mut out), Next::Silence));
        }
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{what:44} {:9.0}/s, {:5.2} µs each",
            f64::from(rounds) / seconds,
            seconds * 1e6 / f64::from(rounds)
        );
    }
}
