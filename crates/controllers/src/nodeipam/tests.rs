//! Ranges, as a table; and nodes that come and go.

use decapod_client::Kind;
use serde_json::json;

use super::*;
use crate::testing::cluster::Cluster;

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn reserve(ranges: &mut Ranges, node: &str) -> String {
    let parts =
        ranges.reserve(node).map(|parts| parts.iter().map(Cidr::to_string).collect::<Vec<_>>().join(" "));
    parts.unwrap_or("none".into())
}

#[test]
fn parts_are_handed_out_once() {
    let mut ranges = Ranges::new(vec![(cidr("10.42.0.0/22"), 24), (cidr("fd00::/56"), 64)]);
    assert_eq!(reserve(&mut ranges, "a"), "10.42.0.0/24 fd00::/64");
    assert_eq!(reserve(&mut ranges, "a"), "10.42.0.0/24 fd00::/64");
    ranges.occupy("b", &["10.42.1.0/24".into(), "fd00:0:0:2::/64".into()]);
    assert_eq!(reserve(&mut ranges, "c"), "10.42.2.0/24 fd00:0:0:1::/64");
    assert_eq!(reserve(&mut ranges, "d"), "10.42.3.0/24 fd00:0:0:3::/64");
    assert_eq!(reserve(&mut ranges, "e"), "none");
    ranges.release("b");
    assert_eq!(reserve(&mut ranges, "e"), "10.42.1.0/24 fd00:0:0:2::/64");
}

#[test]
fn what_services_need_is_kept_out() {
    let mut ranges = Ranges::new(vec![(cidr("10.0.0.0/22"), 24)]);
    ranges.exclude(&cidr("10.0.0.0/23"));
    ranges.exclude(&cidr("10.0.2.128/25"));
    ranges.exclude(&cidr("192.168.0.0/16"));
    assert_eq!(reserve(&mut ranges, "a"), "10.0.3.0/24");
    assert_eq!(reserve(&mut ranges, "b"), "none");
}

#[test]
fn ranges_are_read_and_compared() {
    assert_eq!(cidr("10.42.3.7/16").to_string(), "10.42.0.0/16");
    assert!(cidr("10.0.0.0/8").overlaps(&cidr("10.42.0.0/16")));
    assert!(!cidr("10.0.0.0/8").overlaps(&cidr("11.0.0.0/8")));
    assert!("10.0.0.0/33".parse::<Cidr>().is_err());
    assert!("10.0.0/8".parse::<Cidr>().is_err());
}

#[tokio::test(start_paused = true)]
async fn nodes_get_ranges_and_give_them_back() {
    let cluster = Cluster::new();
    let nodes = core::Node::resource();
    cluster.server.put(
        &nodes,
        json!({"metadata": {"name": "z"}, "spec": {"podCIDR": "10.42.0.0/24", "podCIDRs": ["10.42.0.0/24"]}}),
    );
    for name in ["a", "b"] {
        cluster.server.put(&nodes, json!({"metadata": {"name": name}, "spec": {}}));
    }
    cluster.start(|wiring| start(wiring, Ranges::new(vec![(cidr("10.42.0.0/16"), 24)])));
    cluster.settle().await;
    let range = |name: &str| cluster.get::<core::Node>("", name)["spec"]["podCIDRs"].to_string();
    assert_eq!((range("a"), range("b")), (r#"["10.42.1.0/24"]"#.into(), r#"["10.42.2.0/24"]"#.into()));
    cluster.server.remove(&nodes, "", "a");
    cluster.settle().await;
    cluster.server.put(&nodes, json!({"metadata": {"name": "c"}, "spec": {}}));
    cluster.settle().await;
    assert_eq!(range("c"), r#"["10.42.1.0/24"]"#);
    cluster.env.shutdown().await;
}
