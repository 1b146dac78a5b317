//! Tables of writes and applies; `decapod-oracle managed` holds random ones against upstream's.

use super::*;
use crate::schema::{Field, ListType, Omit, Schema, Shape, Type, TypeId};
use crate::value;

fn ty() -> TypeRef<'static> {
    Schema::builtin().named("io.k8s.api.apps.v1.Deployment").expect("Deployment")
}

fn with<R>(now: &str, run: impl FnOnce(&Fields) -> R) -> R {
    let kind = GroupVersionKind::new("apps", "v1", "Deployment");
    let filter = Filter::except(&[&["status"]]);
    let (ty, versions) = (ty(), &OneVersion);
    run(&Fields { kind: &kind, ty, form: ty, subresource: "", filter: &filter, versions, now })
}

fn update(live: Option<&Value>, mut new: Value, manager: &str, now: &str) -> Value {
    if live.is_some() {
        new.set_at(&["metadata", "uid"], "u");
    }
    with(now, |fields| fields.update(live, &mut new, manager));
    new
}

/// The object as it is stored after an apply.
fn apply(live: Option<&Value>, mut config: Value, manager: &str, force: bool) -> Result<Value, ApplyError> {
    config.set_at(&["apiVersion"], "apps/v1");
    config.set_at(&["kind"], "Deployment");
    with("9", |fields| fields.apply(live, &config, manager, force))
}

fn owned(object: &Value, manager: &str) -> Value {
    let entries = object.list_at(&PATH).iter();
    let own = entries.filter(|entry| entry.str_at(&["manager"]) == Some(manager));
    own.filter_map(|entry| entry.get("fieldsV1")).next().cloned().unwrap_or_default()
}

#[test]
fn a_create_owns_what_it_sets_and_an_update_takes_what_it_changes() {
    let first = update(
        None,
        value!({
            "metadata": {"name": "web", "labels": {"app": "web"}},
            "spec": {"replicas": 1, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
                "template": {"spec": {"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}},
            "status": {"replicas": 3},
        }),
        "kubectl-create",
        "1",
    );
    let expected = value!({
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:strategy": {"f:type": {}, "f:rollingUpdate": {".": {}, "f:maxSurge": {}}},
            "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:image": {}, "f:resources": {},
                "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}}}}}},
        },
    });
    assert_eq!(owned(&first, "kubectl-create"), expected);

    let mut second = first.clone();
    second.set_at(&["spec", "replicas"], 3);
    second.remove_at(&["metadata", "labels"]);
    let second = update(Some(&first), second, "scaler", "2");
    assert_eq!(owned(&second, "scaler"), value!({"f:spec": {"f:replicas": {}}}));
    assert_eq!(owned(&second, "kubectl-create").at(&["f:spec", "f:replicas"]), None);
    assert_eq!(owned(&second, "kubectl-create").at(&["f:metadata"]), None);
    let third = update(Some(&second), second.clone(), "nobody", "3");
    assert_eq!(third, second, "a change that changes nothing records nothing");
}

#[test]
fn appliers_share_conflict_and_let_go() {
    let config = |replicas: i64, labels: Value| value!({"metadata": {"name": "web", "labels": labels.clone()}, "spec": {"replicas": replicas}});
    let labels = |key: &str| Value::Map([(key.into(), "1".into())].into_iter().collect());
    let first = apply(None, config(1, labels("a")), "a", false).expect("new");
    assert_eq!(
        owned(&first, "a"),
        value!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:replicas": {}}})
    );

    let refused = apply(Some(&first), config(2, labels("b")), "b", false);
    let Err(ApplyError::Conflict { message, causes }) = refused else { panic!("{refused:?}") };
    assert_eq!(message, r#"Apply failed with 1 conflict: conflict with "a": .spec.replicas"#);
    assert_eq!(
        (causes[0].reason.as_str(), causes[0].field.as_str()),
        ("FieldManagerConflict", ".spec.replicas")
    );

    // The same value is shared, force takes it.
    let shared = apply(Some(&first), config(1, labels("b")), "b", false).expect("no conflict");
    assert_eq!(owned(&shared, "a").at(&["f:spec", "f:replicas"]), Some(&value!({})));
    let forced = apply(Some(&first), config(2, labels("b")), "b", true).expect("forced");
    assert_eq!(owned(&forced, "a"), value!({"f:metadata": {"f:labels": {"f:a": {}}}}));

    // What is applied no longer goes, unless another owns it.
    let less = apply(Some(&shared), value!({"metadata": {"name": "web"}}), "a", false).expect("less");
    assert_eq!(less.at(&["metadata", "labels"]), Some(&labels("b")));
    assert_eq!(less.int_at(&["spec", "replicas"]), Some(1));
    let none = apply(Some(&less), value!({"metadata": {"name": "web"}}), "b", false).expect("none");
    assert_eq!((none.at(&["metadata", "labels"]), none.at(&["spec", "replicas"])), (None, None));
}

#[test]
fn kubectl_takes_over_what_plain_apply_set() {
    let annotation =
        r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":1}}"#;
    let mut live = value!({"metadata": {"name": "web", "uid": "u"}, "spec": {"replicas": 1}});
    live.set_at(&LAST_APPLIED, annotation);
    let live = update(None, live, "kubectl-client-side-apply", "1");
    let config = value!({"metadata": {"name": "web"}, "spec": {"replicas": 5}});
    assert!(apply(Some(&live), config.clone(), "other", false).is_err());
    let applied = apply(Some(&live), config, "kubectl", false).expect("taken over");
    assert_eq!(applied.int_at(&["spec", "replicas"]), Some(5));
    let last = applied.str_at(&LAST_APPLIED).expect("kept in step");
    assert_eq!(last, annotation.replace(":1}", ":5}") + "\n");
}

#[test]
fn what_is_no_configuration_is_refused_in_upstreams_words() {
    let table = [
        (
            value!({"spec": {"foo": 1}}),
            "failed to create typed patch object (/; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema",
        ),
        (value!({"metadata": {"managedFields": []}}), "metadata.managedFields must be nil"),
        (
            value!({"spec": {"template": {"spec": {"containers": [{"name": "a", "env": [{"name": "E", "value": 1}]}]}}}}),
            r#"failed to create typed patch object (/; apps/v1, Kind=Deployment): .spec.template.spec.containers[name="a"].env[name="E"].value: expected string, got &value.valueUnstructured{Value:1}"#,
        ),
        (
            value!({"spec": {"template": {"spec": {"containers": [null]}}}}),
            "failed to create typed patch object (/; apps/v1, Kind=Deployment): .spec.template.spec.containers: element 0: associative list with keys may not have a null element",
        ),
    ];
    for (config, wanted) in table {
        assert_eq!(apply(None, config, "a", false).unwrap_err().to_string(), wanted);
    }
}

#[test]
fn the_oldest_updaters_become_one() {
    let mut live = update(None, value!({"metadata": {"name": "web"}}), "m0", "00");
    for n in 1..14 {
        let mut new = live.clone();
        new.set_at(&["metadata", "labels", &format!("l{n}")], "x");
        live = update(Some(&live), new, &format!("m{n}"), &format!("{n:02}"));
    }
    let names: Vec<&str> =
        live.list_at(&PATH).iter().filter_map(|entry| entry.str_at(&["manager"])).collect();
    assert_eq!(names.len(), UPDATE_MANAGERS_MAX);
    assert_eq!(names[0], ANCIENT);
    assert_eq!(owned(&live, ANCIENT).at(&["f:metadata", "f:labels", "f:l1"]), Some(&value!({})));
}

/// Types as those of a custom kind, which say how fields are owned and no more: its objects are decoded as any tree.
fn widgets() -> (Schema, TypeId) {
    let field = |name, shape| {
        let mut field = Field::new(name, shape);
        (field.omit, field.pointer) = (Omit::Absent, true);
        field
    };
    let texts = || Shape::List(Box::new(Shape::String));
    let mut schema = Schema::default();
    let mut spec = Type::new("", "");
    let mut set = field("set", texts());
    set.list_type = Some(ListType::Set);
    spec.push(set);
    spec.push(field("list", texts()));
    spec.push(field("size", Shape::Int64));
    let mut any = Type::new("", "");
    any.open = true;
    spec.push(field("any", Shape::Struct(schema.add(any))));
    let mut widget = Type::new("", "");
    ["apiVersion", "kind"].into_iter().for_each(|name| widget.push(field(name, Shape::String)));
    widget.push(field("metadata", Shape::Any));
    widget.push(field("spec", Shape::Struct(schema.add(spec))));
    let widget = schema.add(widget);
    (schema, widget)
}

#[test]
fn objects_that_are_any_tree_are_applied_by_types_of_their_own() {
    let (schema, widget) = widgets();
    let kind = GroupVersionKind::new("example.com", "v1", "Widget");
    let (form, filter) = (Schema::builtin().unstructured().expect("unstructured"), Filter::default());
    let (ty, versions) = (schema.resolve(widget), &OneVersion);
    let fields = Fields { kind: &kind, ty, form, subresource: "", filter: &filter, versions, now: "1" };
    let config = |spec: Value| {
        let mut config =
            value!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
        config.set_at(&["spec"], spec);
        config
    };
    let first = config(value!({"set": ["a"], "list": ["a"], "size": 0, "any": {"x": {"y": [1.5]}}}));
    let first = fields.apply(None, &first, "a", false).expect("new");
    assert_eq!(first.at(&["spec", "any"]), Some(&value!({"x": {"y": [1.5]}})));
    let owned_by_a = value!({"f:spec": {"f:any": {"f:x": {".": {}, "f:y": {}}}, "f:list": {}, "f:set": {"v:\"a\"": {}}, "f:size": {}}});
    assert_eq!(owned(&first, "a"), owned_by_a);
    let second = config(value!({"set": ["b"], "any": {"z": null}}));
    let second = fields.apply(Some(&first), &second, "b", false).expect("nothing in common");
    assert_eq!(second.at(&["spec", "set"]), Some(&value!(["a", "b"])));
    assert_eq!(second.at(&["spec", "size"]), Some(&value!(0)), "a zero stays");
    let mut third = second.clone();
    third.set_at(&["metadata", "uid"], "u");
    third.set_at(&["spec", "list"], value!(["c"]));
    fields.update(Some(&second), &mut third, "c");
    assert_eq!(owned(&third, "c"), value!({"f:spec": {"f:list": {}}}));
}
