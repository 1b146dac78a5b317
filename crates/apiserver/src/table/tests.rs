//! Tables from small objects: `cases.txt` holds, for each, the kind, its JSON and the cells of its row.
//!
//! `UPDATE_EXPECT=1 cargo test -p decapod-apiserver table` rewrites the cells; read the difference.

use decapod_api::Object;
use decapod_api::meta::GroupVersionKind;
use serde_json::Value;

use super::{Include, Meta, Request, render_body};

const CASES: &str = include_str!("cases.txt");

fn now() -> jiff::Timestamp {
    "2026-01-01T12:00:00Z".parse().expect("a time")
}

/// `Kind.group/version`; version 1 where it is not said.
fn kind(text: &str) -> GroupVersionKind {
    let (text, version) = text.split_once('/').unwrap_or((text, "v1"));
    let (kind, group) = text.split_once('.').unwrap_or((text, ""));
    GroupVersionKind::new(group.to_owned(), version.to_owned(), kind.to_owned())
}

fn table(kind: &GroupVersionKind, objects: &[Object], include: Include) -> Value {
    let request = Request { headless: false, include, now: now(), custom: None };
    let text = render_body(kind, objects, &request, &Meta::default(), "v1");
    serde_json::from_slice(&text)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&text)))
}

#[test]
fn rows_show_what_upstream_shows() {
    let mut written = String::new();
    let mut lines = CASES.lines().peekable();
    while let Some(line) = lines.next() {
        written.push_str(line);
        written.push('\n');
        let Some((name, json)) = line.split_once(" {").filter(|_| !line.starts_with('#')) else { continue };
        let expected = lines.next_if(|line| line.starts_with('=')).unwrap_or_default();
        let object = Object::new(format!("{{{json}").into(), 7);
        let table = table(&kind(name), &[object], Include::None);
        let cells = table["rows"][0]["cells"].as_array().expect("cells");
        let columns = table["columnDefinitions"].as_array().expect("columns");
        assert_eq!(cells.len(), columns.len(), "{line}");
        let shown: Vec<String> = cells.iter().map(|cell| cell.to_string().replace('"', "")).collect();
        let shown = format!("= {}", shown.join(" | "));
        if std::env::var_os("UPDATE_EXPECT").is_none() {
            assert_eq!(shown, expected, "{line}");
        }
        written.push_str(&shown);
        written.push('\n');
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/table/cases.txt");
        std::fs::write(path, written).expect("the cases");
    }
}

#[test]
fn rows_carry_what_is_asked_for() {
    let pod = Object::new(r#"{"metadata":{"name":"a"},"status":{"phase":"Failed"}}"#.into(), 7);
    let row = |include| table(&kind("Pod"), std::slice::from_ref(&pod), include)["rows"][0].clone();
    assert_eq!(row(Include::None)["object"], Value::Null);
    assert_eq!(row(Include::None)["conditions"][0]["reason"], "Failed");
    assert_eq!(row(Include::Metadata)["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(row(Include::Metadata)["object"]["apiVersion"], "meta.k8s.io/v1");
    assert_eq!(row(Include::Metadata)["object"]["status"], Value::Null);
    assert_eq!(row(Include::Object)["object"]["kind"], "Pod");
    assert_eq!(row(Include::Object)["object"]["status"]["phase"], "Failed");
}

#[test]
fn flow_schemas_come_as_they_are_tried() {
    let schema = |name, precedence| {
        let json =
            format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{"matchingPrecedence":{precedence}}}}}"#);
        Object::new(json.into(), 7)
    };
    let table = table(
        &kind("FlowSchema.flowcontrol.apiserver.k8s.io"),
        &[schema("b", 10), schema("c", 9), schema("a", 10)],
        Include::None,
    );
    let names: Vec<_> =
        table["rows"].as_array().expect("rows").iter().map(|row| row["cells"][0].clone()).collect();
    assert_eq!(names, ["c", "a", "b"]);
}

#[test]
fn a_headless_table_has_no_columns() {
    let request = Request { headless: true, include: Include::None, now: now(), custom: None };
    let text = render_body(&kind("Pod"), &[], &request, &Meta::default(), "v1");
    assert_eq!(text, br#"{"metadata":{"resourceVersion":""},"columnDefinitions":null,"rows":[]}"#);
}
