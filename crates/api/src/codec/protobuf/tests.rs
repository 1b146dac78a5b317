//! Table tests of the protobuf codec.

use super::*;
use crate::codec::{FieldValidation, json};
use crate::schema::Schema;

fn ty(name: &str) -> TypeRef<'static> {
    Schema::builtin().named(name).unwrap()
}

fn draft(text: &str, ty: TypeRef) -> Value {
    json::decode(text.as_bytes(), ty, FieldValidation::Strict).unwrap().draft
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn messages_are_as_gogo_writes_them() {
    let cases = [
        ("io.k8s.api.core.v1.EnvVar", r#"{"name":"a"}"#, "0a01611200"),
        (
            "io.k8s.api.core.v1.ContainerPort",
            r#"{"containerPort":-1}"#,
            "0a00100018ffffffffffffffffff0122002a00",
        ),
        ("io.k8s.api.core.v1.PodDNSConfig", r#"{"searches":["a",""]}"#, "1201611200"),
        ("io.k8s.api.core.v1.ResourceFieldSelector", r#"{"divisor":"1"}"#, "0a0012001a030a0131"),
        ("io.k8s.api.core.v1.Capabilities", "{}", ""),
        ("io.k8s.api.core.v1.VolumeMount", r#"{"readOnly":true}"#, "0a0010011a002200320"),
        ("io.k8s.api.apps.v1.RollingUpdateDeployment", r#"{"maxSurge":"1%"}"#, "120808011000"),
    ];
    for (name, text, wanted) in cases {
        let message = hex(&encode(&draft(text, ty(name)), ty(name)));
        assert!(message.starts_with(wanted), "{name}: {message}");
    }
}

#[test]
fn envelopes_open_to_what_was_put_in() {
    let pod = ty("io.k8s.api.core.v1.Pod");
    let draft = draft(
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","labels":{"b":"2","a":"1"}},"spec":{"containers":[{"name":"c"}]}}"#,
        pod,
    );
    let body = envelope("v1", "Pod", &encode(&draft, pod));
    assert!(body.starts_with(b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12"));
    assert!(body.ends_with(&[0x1a, 0, 0x22, 0]));
    assert_eq!(decode(&body, pod).unwrap().draft, draft);
    assert_eq!(type_meta(&body).unwrap().kind, "Pod");
    let error = decode(b"{}", pod).unwrap_err();
    assert!(error.to_string().contains("does not appear to be a protobuf message"), "{error}");
}

#[test]
fn lists_are_made_of_the_messages_of_their_items() {
    let (pod, pods) = (ty("io.k8s.api.core.v1.Pod"), ty("io.k8s.api.core.v1.PodList"));
    let whole = draft(
        r#"{"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}"#,
        pods,
    );
    let items: Vec<Vec<u8>> = whole.list_at(&["items"]).iter().map(|item| encode(item, pod)).collect();
    let lengths = items.iter().map(Vec::len);
    let mut joined = list_head("v1", "PodList", whole.get("metadata").unwrap(), pods, lengths);
    for item in &items {
        before_item(item.len(), &mut joined);
        joined.extend_from_slice(item);
    }
    joined.extend_from_slice(LIST_END);
    assert_eq!(hex(&joined), hex(&envelope("v1", "PodList", &encode(&whole, pods))));
    let body = json::encode(&whole.list_at(&["items"])[0], pod).bytes;
    assert_eq!(item(&body, pod), items[0]);
}

#[test]
fn watch_events_carry_an_enveloped_object() {
    let event = watch_event("ADDED", b"xyz");
    assert_eq!(event, b"\x0a\x05ADDED\x12\x05\x0a\x03xyz");
}

#[test]
fn broken_messages_are_refused() {
    let pod = ty("io.k8s.api.core.v1.Pod");
    let deep = (0..400).fold(Vec::new(), |inner: Vec<u8>, _| {
        let mut out = Writer::with_capacity(8);
        out.bytes(17, &inner);
        out.finish()
    });
    let schema = ty("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
    let cases: [(&[u8], TypeRef); 6] = [
        (b"\x0a", pod),
        (b"\x0a\x05a", pod),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", pod),
        (b"\x08\x01", pod),
        (b"\x0b", pod),
        (b"\x00\x00", pod),
    ];
    for (message, ty) in cases {
        assert!(decode_message(message, ty).is_err(), "{message:?}");
    }
    // `not` within `not` …
    let number = schema.field("not").unwrap().number;
    let deep_not = (0..400).fold(Vec::new(), |inner: Vec<u8>, _| {
        let mut out = Writer::with_capacity(8);
        out.bytes(number, &inner);
        out.finish()
    });
    assert_eq!(decode_message(&deep_not, schema), Err(DecodeError::Depth));
    assert!(decode_message(&deep, pod).is_ok(), "unknown fields are skipped without a look inside");
}

#[test]
fn canonical_json_makes_the_message_that_its_draft_makes() {
    let cases = [
        (
            "io.k8s.api.core.v1.Pod",
            r#"{"metadata":{"name":"a\"\u003c\u2028é","labels":{"b":"2","a":""},"managedFields":[
            {"manager":"m","fieldsV1":{"f:a":{".":{},"f:b":{}}}}],"creationTimestamp":"2026-01-02T03:04:05Z"},
            "spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"100m"}},"readinessProbe":{"httpGet":{"port":"web"},
            "periodSeconds":-1}},{"name":"d","ports":[{"containerPort":80}],"livenessProbe":{"tcpSocket":{"port":8080}}}],
            "hostNetwork":true,"securityContext":{}},"status":{"startTime":null}}"#,
        ),
        ("io.k8s.api.core.v1.Secret", r#"{"metadata":{},"data":{"a":"AAEC","b":null},"immutable":false}"#),
        (
            "io.k8s.api.coordination.v1.Lease",
            r#"{"metadata":{"name":"l"},"spec":{"renewTime":"2026-01-02T03:04:05.678901Z"}}"#,
        ),
        (
            "io.k8s.api.apps.v1.ControllerRevision",
            r#"{"metadata":{"name":"r"},"data":{"x":[1,2.5e30,{"y":null}]},"revision":3}"#,
        ),
        (
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
            r#"{"additionalProperties":{"type":"string"},"items":{"type":"object"},"additionalItems":false,"maximum":1.5,"minimum":2,
            "default":{"a":1},"enum":["a",1],"required":["x"],"dependencies":{"a":["b"],"c":{"type":"string"}}}"#,
        ),
        (
            "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
            r#"{"message":"no","details":{"causes":[{"field":"f"}]},"code":404}"#,
        ),
    ];
    for (name, text) in cases {
        let draft = draft(text, ty(name));
        let body = json::encode(&draft, ty(name)).bytes;
        assert_eq!(hex(&item(&body, ty(name))), hex(&encode(&draft, ty(name))), "{name}");
    }
}
