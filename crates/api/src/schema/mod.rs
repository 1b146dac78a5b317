//! What every kind looks like: the facts that drive decoding, encoding, patches, apply and OpenAPI.
//!
//! A [`Schema`] is an ordinary value. [`Schema::builtin`] holds the built-in kinds, from the committed table of facts
//! (`crates/api/schema/facts.txt`, made by `cargo xtask schema`); types of custom resources are added to a schema of
//! their own with [`Schema::add`].

mod facts;
mod types;

use std::sync::LazyLock;

pub use facts::FactsError;
pub use types::{Field, ListType, Member, MemberOf, Omit, Patch, SchemaOr, Shape, Type, TypeId};

use crate::meta::GroupVersionKind;

/// Types, and the kinds that are made of them.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    types: Vec<Type>,
    /// Sorted by package and name.
    by_name: Vec<TypeId>,
    /// Sorted by group, version and kind.
    kinds: Vec<Kind>,
}

/// A top-level kind.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name.
    pub gvk: GroupVersionKind,
    /// Its type.
    pub ty: TypeId,
    /// Whether it is a list of objects, such as `PodList`.
    pub list: bool,
    /// Whether upstream's kube-apiserver serves its group and version by default.
    pub served: bool,
}

/// A type together with the schema that its references point into.
#[derive(Clone, Copy, Debug)]
pub struct TypeRef<'s> {
    /// Where [`TypeId`]s are looked up.
    pub schema: &'s Schema,
    /// The type.
    pub ty: &'s Type,
}

/// The package of the types that all kinds share.
pub const META_V1: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

static BUILTIN: LazyLock<Schema> = LazyLock::new(|| {
    let mut schema =
        facts::parse(include_str!("../../schema/facts.txt")).expect("the committed table is tested");
    schema.add_unstructured();
    schema
});

// === impl Schema ===

impl Schema {
    /// The built-in kinds of v1.36, and `Unstructured` and `UnstructuredList` for objects of any kind.
    pub fn builtin() -> &'static Schema {
        &BUILTIN
    }

    /// The type with this OpenAPI name, such as `io.k8s.api.core.v1.PodSpec`.
    pub fn named(&self, name: &str) -> Option<TypeRef<'_>> {
        self.id_of(name).map(|id| self.resolve(id))
    }

    /// The id of the type with this OpenAPI name.
    pub fn id_of(&self, name: &str) -> Option<TypeId> {
        let (package, name) = name.rsplit_once('.').unwrap_or(("", name));
        self.find(package, name).ok().map(|at| self.by_name[at])
    }

    /// The type of a meta/v1 name, such as `DeleteOptions`.
    pub fn meta(&self, name: &str) -> Option<TypeRef<'_>> {
        self.find(META_V1, name).ok().map(|at| self.resolve(self.by_name[at]))
    }

    /// A kind by its names.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<&Kind> {
        let key = (group, version, kind);
        self.kinds.binary_search_by(|probe| names(&probe.gvk).cmp(&key)).ok().map(|at| &self.kinds[at])
    }

    /// The type of a kind. Those of meta/v1, such as `DeleteOptions`, are of every group and version.
    pub fn type_of(&self, gvk: &GroupVersionKind) -> Option<TypeRef<'_>> {
        let own = self.kind(&gvk.group, &gvk.version, &gvk.kind).map(|kind| self.resolve(kind.ty));
        own.or_else(|| self.meta(&gvk.kind))
    }

    /// The type of objects whose kind has no schema: typed metadata, everything else as it came.
    pub fn unstructured(&self) -> Option<TypeRef<'_>> {
        self.named("Unstructured")
    }

    /// Every kind, sorted by group, version and kind.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Every type, in order of their ids.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// The type with this id, which must be of this schema.
    pub fn resolve(&self, id: TypeId) -> TypeRef<'_> {
        TypeRef { schema: self, ty: &self.types[id.0 as usize] }
    }

    /// Adds a type and returns its id. The later of two of the same name is the one found by name.
    pub fn add(&mut self, ty: Type) -> TypeId {
        let id = TypeId(self.types.len() as u32);
        match self.find(&ty.package, &ty.name) {
            Ok(at) => self.by_name[at] = id,
            Err(at) => self.by_name.insert(at, id),
        }
        self.types.push(ty);
        id
    }

    /// Adds a type of another schema with all that it refers to, and returns its id here. No type may refer to itself.
    pub fn adopt(&mut self, from: &Schema, id: TypeId) -> TypeId {
        let mut ty = from.types[id.0 as usize].clone();
        if let Some(known) = self.id_of(&ty.full_name()) {
            return known;
        }
        for field in &mut ty.fields {
            field.shape = field.shape.map_types(&mut |inner| self.adopt(from, inner));
        }
        ty.members.clear();
        self.add(ty)
    }

    /// Adds a kind whose type has been added. The later of two of the same name wins.
    pub fn add_kind(&mut self, kind: Kind) {
        match self.kinds.binary_search_by(|probe| names(&probe.gvk).cmp(&names(&kind.gvk))) {
            Ok(at) => self.kinds[at] = kind,
            Err(at) => self.kinds.insert(at, kind),
        }
    }

    fn find(&self, package: &str, name: &str) -> Result<usize, usize> {
        let key = (package, name);
        self.by_name.binary_search_by(|id| {
            let ty = &self.types[id.0 as usize];
            (&*ty.package, &*ty.name).cmp(&key)
        })
    }

    fn add_unstructured(&mut self) {
        let meta = |name| self.find(META_V1, name).map(|at| Shape::Struct(self.by_name[at]));
        let (Ok(object_meta), Ok(list_meta)) = (meta("ObjectMeta"), meta("ListMeta")) else { return };
        let with_meta = |name: &'static str, metadata: Shape| {
            let mut ty = Type::new("", name);
            ty.push(Field::new("kind", Shape::String));
            ty.push(Field::new("apiVersion", Shape::String));
            ty.push(Field { omit: Omit::Never, ..Field::new("metadata", metadata) });
            ty
        };
        let mut object = with_meta("Unstructured", object_meta);
        object.open = true;
        let items = Shape::List(Box::new(Shape::Struct(self.add(object))));
        let mut list = with_meta("UnstructuredList", list_meta);
        list.push(Field { omit: Omit::Never, ..Field::new("items", items) });
        self.add(list);
    }
}

fn names(gvk: &GroupVersionKind) -> (&str, &str, &str) {
    (&gvk.group, &gvk.version, &gvk.kind)
}

// === impl TypeRef ===

impl<'s> TypeRef<'s> {
    /// A number that no other type has.
    pub fn id(&self) -> usize {
        std::ptr::from_ref(self.ty).addr()
    }

    /// The field with this JSON name.
    pub fn field(&self, name: &str) -> Option<&'s Field> {
        self.ty.index_of(name).map(|at| &self.ty.fields[at])
    }

    /// The struct that `shape` is, or that its items or values are.
    pub fn under(&self, shape: &Shape) -> Option<TypeRef<'s>> {
        match shape {
            Shape::Struct(id) | Shape::SchemaOr(_, id) => Some(self.schema.resolve(*id)),
            Shape::List(of) | Shape::Wrapped(of) | Shape::Map(of) => self.under(of),
            _ => None,
        }
    }

    /// The field at the end of `path`, through structs and the items of lists.
    pub fn field_at(&self, path: &[&str]) -> Option<&'s Field> {
        let (last, parents) = path.split_last()?;
        let owner = parents.iter().try_fold(*self, |ty, name| ty.under(&ty.field(name)?.shape))?;
        owner.field(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod_spec() -> TypeRef<'static> {
        Schema::builtin().named("io.k8s.api.core.v1.PodSpec").unwrap()
    }

    #[test]
    fn kinds_and_types_are_found_by_name() {
        let schema = Schema::builtin();
        let pod = schema.kind("", "v1", "Pod").unwrap();
        assert!(pod.served && !pod.list);
        assert_eq!(schema.resolve(pod.ty).ty.full_name(), "io.k8s.api.core.v1.Pod");
        assert!(schema.kind("apps", "v1", "DeploymentList").unwrap().list);
        assert!(schema.kind("apps", "v1beta1", "Deployment").is_none());
        assert!(schema.meta("DeleteOptions").is_some());
        assert!(schema.kind("resource.k8s.io", "v1", "ResourceClaim").is_some());
        assert!(schema.kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition").is_some());
        assert!(schema.kind("apiregistration.k8s.io", "v1", "APIService").is_some());
    }

    #[test]
    fn fields_carry_their_facts() {
        let containers = pod_spec().field("containers").unwrap();
        assert_eq!(containers.number, 2);
        assert!(containers.required);
        assert_eq!(containers.omit, Omit::Never);
        assert_eq!(containers.patch, Some(Patch { strategy: "merge".into(), key: "name".into() }));
        assert_eq!(containers.list_type, Some(ListType::Map));
        assert_eq!(containers.list_keys().collect::<Vec<_>>(), ["name"]);
        let policy = pod_spec().field("restartPolicy").unwrap();
        assert_eq!(policy.enum_values().collect::<Vec<_>>(), ["Always", "Never", "OnFailure"]);
        let protocol = pod_spec().field_at(&["containers", "ports", "protocol"]).unwrap();
        assert_eq!(protocol.default.as_deref(), Some(r#""TCP""#));
        assert!(pod_spec().field("nosuch").is_none());
    }

    #[test]
    fn embedded_structs_are_flat_in_json_and_nested_in_protobuf() {
        let volume = pod_spec().under(&pod_spec().field("volumes").unwrap().shape).unwrap();
        assert!(volume.field("hostPath").is_some());
        assert!(matches!(volume.ty.member(2), Some(MemberOf::Inline { offset: 1, .. })));
        assert!(matches!(volume.ty.member(1), Some(MemberOf::Field(0))));
    }

    #[test]
    fn no_type_says_a_name_or_number_twice() {
        for ty in Schema::builtin().types() {
            let mut names: Vec<&str> = ty.fields.iter().map(|field| field.name.as_str()).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|w| w[0] != w[1]), "{}", ty.full_name());
            assert!(ty.members.windows(2).all(|w| w[0].number < w[1].number), "{}", ty.full_name());
        }
    }
}
