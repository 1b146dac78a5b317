//! Table tests of the JSON codec.

use super::*;
use crate::codec::TypeMeta;
use crate::schema::Schema;

fn ty(name: &str) -> TypeRef<'static> {
    Schema::builtin().named(name).unwrap()
}

fn pod() -> TypeRef<'static> {
    ty("io.k8s.api.core.v1.Pod")
}

fn draft(text: &str, ty: TypeRef) -> Value {
    decode(text.as_bytes(), ty, FieldValidation::Strict).unwrap().draft
}

fn encoded(text: &str, ty: TypeRef) -> String {
    String::from_utf8(to_bytes(&draft(text, ty), ty)).unwrap()
}

#[test]
fn fields_are_written_in_order_and_zero_values_as_go_does() {
    let cases = [
        (
            "io.k8s.api.core.v1.Pod",
            r#"{"spec":{"restartPolicy":"","containers":[{"image":"i","name":"c"}],"volumes":[]},"metadata":{"name":"a"}}"#,
            r#"{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i","resources":{}}]},"status":{}}"#,
        ),
        (
            "io.k8s.api.apps.v1.Deployment",
            r#"{"spec":{"replicas":0,"paused":false}}"#,
            r#"{"metadata":{},"spec":{"replicas":0,"selector":null,"template":{"metadata":{},"spec":{"containers":null}},"strategy":{}},"status":{}}"#,
        ),
        (
            "io.k8s.api.core.v1.Service",
            r#"{"spec":{"ports":[{"port":80}]}}"#,
            r#"{"metadata":{},"spec":{"ports":[{"port":80,"targetPort":0}]},"status":{"loadBalancer":{}}}"#,
        ),
        (
            "io.k8s.api.core.v1.PodCondition",
            r#"{"type":"Ready","lastProbeTime":null}"#,
            r#"{"type":"Ready","status":"","lastProbeTime":null,"lastTransitionTime":null}"#,
        ),
        (
            "io.k8s.api.core.v1.ResourceRequirements",
            r#"{"limits":{"cpu":0.5,"memory":"1024Mi"},"requests":{"x":null}}"#,
            r#"{"limits":{"cpu":"500m","memory":"1Gi"},"requests":{"x":"0"}}"#,
        ),
        (
            "io.k8s.api.core.v1.Secret",
            r#"{"data":{"a":"YQ==","b":null,"c":""}}"#,
            r#"{"metadata":{},"data":{"a":"YQ==","b":null,"c":""}}"#,
        ),
        (
            "io.k8s.api.core.v1.ConfigMap",
            r#"{"data":{"a":"<&>\u2028\u0001\"é\ud83d\ude00\ud800"}}"#,
            "{\"metadata\":{},\"data\":{\"a\":\"\\u003c\\u0026\\u003e\\u2028\\u0001\\\"é😀\u{fffd}\"}}",
        ),
        (
            "io.k8s.api.coordination.v1.LeaseSpec",
            r#"{"renewTime":"2026-01-02T04:04:05.100000+01:00"}"#,
            r#"{"renewTime":"2026-01-02T03:04:05.100000Z"}"#,
        ),
        (
            "io.k8s.api.apps.v1.RollingUpdateDeployment",
            r#"{"maxSurge":1,"maxUnavailable":"25%"}"#,
            r#"{"maxUnavailable":"25%","maxSurge":1}"#,
        ),
        (
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
            r#"{"items":{"type":"a"},"additionalProperties":false,"default":[1.5,null,1e30,2],"maximum":5,"enum":["x"],"dependencies":{"d":["e"]}}"#,
            r#"{"default":[1.5,null,1e+30,2],"maximum":5,"enum":["x"],"items":{"type":"a"},"additionalProperties":false,"dependencies":{"d":["e"]}}"#,
        ),
        (
            "Unstructured",
            r#"{"spec":{"b":1,"a":[]},"kind":"K","apiVersion":"g/v1","alpha":null}"#,
            r#"{"kind":"K","apiVersion":"g/v1","metadata":{},"alpha":null,"spec":{"a":[],"b":1}}"#,
        ),
    ];
    for (name, text, wanted) in cases {
        assert_eq!(encoded(text, ty(name)), wanted, "{name}");
    }
}

#[test]
fn canonical_objects_leave_room_for_the_revision() {
    let cases = [
        (
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"uid":"u","name":"a","resourceVersion":"5","creationTimestamp":"2026-01-01T00:00:00Z"}}"#,
            r#"{"metadata":{"name":"a","uid":"u","resourceVersion":"7","creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"containers":null},"status":{}}"#,
        ),
        (
            r#"{"metadata":{"name":"a"}}"#,
            r#"{"metadata":{"resourceVersion":"7","name":"a"},"spec":{"containers":null},"status":{}}"#,
        ),
        (
            r#"{}"#,
            r#"{"metadata":{"resourceVersion":"7","creationTimestamp":null},"spec":{"containers":null},"status":{}}"#,
        ),
    ];
    for (text, wanted) in cases {
        let bytes = encode(&draft(text, pod()), pod()).at(7);
        assert_eq!(String::from_utf8_lossy(&bytes), wanted, "{text}");
    }
}

#[test]
fn unknown_and_duplicate_fields_are_reported_by_path() {
    let text = r#"{"foo":1,"spec":{"containers":[{"name":"a","nam":{"x":[1,{}]}},{"name":"b","name":"c"}],"Volumes":[],"foo":2,"foo":3,
        "nodeSelector":{"k":"1","k":"2"}},"metadata":{"managedFields":[{"fieldsV1":{"a":1,"a":2}}]}}"#;
    let wanted = [
        r#"unknown field "foo""#,
        r#"unknown field "spec.containers[0].nam""#,
        r#"duplicate field "spec.containers[1].name""#,
        r#"unknown field "spec.Volumes""#,
        r#"unknown field "spec.foo""#,
        r#"duplicate field "spec.nodeSelector.k""#,
    ];
    let warned = decode(text.as_bytes(), pod(), FieldValidation::Warn).unwrap();
    assert_eq!(warned.warnings, wanted);
    assert_eq!(warned.draft.list_at(&["spec", "containers"])[1].str_at(&["name"]), Some("c"));
    assert_eq!(warned.draft.str_at(&["spec", "nodeSelector", "k"]), Some("2"));
    let ignored = decode(text.as_bytes(), pod(), FieldValidation::Ignore).unwrap();
    assert_eq!((ignored.draft, ignored.warnings.len()), (warned.draft, 0));
    let error = decode(br#"{"spec":{"foo":1}}"#, pod(), FieldValidation::Strict).unwrap_err();
    assert_eq!(
        error.status("Pod", "v1").message,
        r#"Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.foo""#
    );
}

#[test]
fn what_go_refuses_is_refused_in_its_words() {
    let cases = [
        (
            r#"{"spec":{"containers":"x"}}"#,
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            r#"{"spec":{"containers":[{},{"name":1}]}}"#,
            "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
        ),
        (
            r#"{"spec":{"priority":2147483648}}"#,
            "json: cannot unmarshal number 2147483648 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (
            r#"{"spec":{"priority":1.0}}"#,
            "json: cannot unmarshal number 1.0 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (
            r#"{"metadata":{"labels":[]}}"#,
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            r#"{"metadata":{"labels":{"a":1}}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            r#"{"metadata":{"creationTimestamp":"yesterday"}}"#,
            "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\"",
        ),
        (
            r#"{"spec":{"overhead":{"cpu":"x"}}}"#,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (r#"[]"#, "json: cannot unmarshal array into Go value of type Pod"),
        (r#"{"spec":{}"#, "unexpected end of JSON input"),
        (r#"{"spec":{}}}"#, "invalid character '}' after top-level value"),
        (r#"{"spec":{},}"#, "invalid character '}' looking for beginning of object key string"),
        (r#"{spec:1}"#, "invalid character 's' looking for beginning of object key string"),
        (r#"{"a" 1}"#, "invalid character '1' after object key"),
        (r#"{"a":nul}"#, "invalid character '}' in literal null (expecting 'l')"),
        (r#"{"a":[1 2]}"#, "invalid character '2' after array element"),
        (r#"{"a":01}"#, "invalid character '1' after object key:value pair"),
        ("{\"a\":\"\n\"}", "invalid character '\\n' in string literal"),
        (r#"{"a":"\x"}"#, "invalid character 'x' in string escape code"),
        ("", "unexpected end of JSON input"),
    ];
    for (text, wanted) in cases {
        let error = decode(text.as_bytes(), pod(), FieldValidation::Strict).unwrap_err();
        assert_eq!(error.to_string(), wanted, "{text}");
    }
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(300), "]".repeat(300));
    for ty in [pod(), ty("Unstructured")] {
        assert_eq!(decode(deep.as_bytes(), ty, FieldValidation::Ignore).unwrap_err(), DecodeError::Depth);
    }
}

#[test]
fn drafts_changed_without_a_schema_can_be_checked() {
    let mut draft = draft(r#"{"metadata":{"name":"a"},"spec":{"priority":1}}"#, pod());
    draft.set_at(&["spec", "overhead"], crate::value!({"cpu": 1}));
    draft.set_at(&["spec", "nosuch"], 1);
    let checked = conform(&draft, pod(), FieldValidation::Warn).unwrap();
    assert_eq!(checked.warnings, [r#"unknown field "spec.nosuch""#]);
    assert_eq!(checked.draft.str_at(&["spec", "overhead", "cpu"]), Some("1"));
    draft.set_at(&["spec", "priority"], "high");
    assert!(matches!(conform(&draft, pod(), FieldValidation::Warn), Err(DecodeError::Type { .. })));
}

#[test]
fn the_kind_of_a_body_is_read_alone() {
    let meta = type_meta(br#" {"metadata":{"kind":"no"},"kind":"Pod","apiVersion":"v1"} "#).unwrap();
    assert_eq!(meta, TypeMeta { api_version: "v1".into(), kind: "Pod".into() });
    let error = type_meta(b"{").unwrap_err();
    assert_eq!(
        error.to_string(),
        "couldn't get version/kind; json parse error: unexpected end of JSON input"
    );
}
