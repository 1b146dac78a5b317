//! Random objects of a kind, as clients might write them: fields in any order, nulls and empty values, numbers at the
//! bounds of their types, times with fractions and offsets, quantities in every form.

use std::collections::HashSet;

use decapod_api::codec::json::write_any;
use decapod_api::schema::{Field, Kind, Schema, SchemaOr, Shape, Type, TypeRef};
use decapod_api::{Map, Value};

use crate::node::Node;
use crate::random::Random;
use crate::scalar;

/// Deeper than this, only empty structs are made.
const DEPTH_MAX: usize = 14;

/// How full an object becomes.
#[derive(Clone, Copy)]
enum Fill {
    /// A field or two of each struct: narrow and deep.
    Few,
    /// About a handful of each.
    Some,
    /// Half of them.
    Many,
}

/// Makes the objects of one case.
pub struct Generator<'r> {
    random: &'r mut Random,
    fill: Fill,
    /// How many more values may be made.
    budget: usize,
    /// The fields that were given a value, if anybody wants to know.
    pub reached: Option<HashSet<(usize, usize)>>,
}

/// A field's place: its type's address, which is that of a static, and its index.
fn place(ty: &Type, at: usize) -> (usize, usize) {
    (std::ptr::from_ref(ty) as usize, at)
}

/// The fields of all types under `kinds` that a generator may reach.
pub fn reachable(kinds: &[&Kind]) -> HashSet<(usize, usize)> {
    let schema = Schema::builtin();
    let mut found = HashSet::new();
    let mut open: Vec<TypeRef> = kinds.iter().map(|kind| schema.resolve(kind.ty)).collect();
    while let Some(ty) = open.pop() {
        for (at, field) in ty.ty.fields.iter().enumerate() {
            if found.insert(place(ty.ty, at)) {
                open.extend(ty.under(&field.shape));
            }
        }
    }
    found
}

// === impl Generator ===

impl<'r> Generator<'r> {
    /// A generator of the next object.
    pub fn new(random: &'r mut Random) -> Generator<'r> {
        let fill = random.choose(&[Fill::Few, Fill::Few, Fill::Some, Fill::Many]);
        let budget = 1 << (3 + random.below(6));
        Generator { random, fill, budget, reached: None }
    }

    /// An object of this kind.
    pub fn object(&mut self, kind: &Kind) -> Node {
        let meta = [("kind", kind.gvk.kind.to_string()), ("apiVersion", kind.gvk.api_version())];
        let mut members: Vec<(String, Node)> =
            meta.iter().map(|(key, text)| (format!("{key:?}"), Node::string(text))).collect();
        let ty = Schema::builtin().resolve(kind.ty);
        let named = ["kind", "apiVersion"].into_iter().filter_map(|name| ty.ty.index_of(name));
        self.reached.iter_mut().for_each(|reached| reached.extend(named.clone().map(|at| place(ty.ty, at))));
        members.extend(self.members(ty, 0));
        if self.random.once_in(4) {
            self.random.shuffle(&mut members);
        }
        Node::Object(members)
    }

    fn members(&mut self, ty: TypeRef, depth: usize) -> Vec<(String, Node)> {
        let fields: Vec<(usize, &Field)> = ty.ty.fields.iter().enumerate().collect();
        let fields: Vec<_> = match depth {
            0 => fields.into_iter().filter(|(_, f)| f.name != "kind" && f.name != "apiVersion").collect(),
            DEPTH_MAX.. => Vec::new(),
            _ => fields,
        };
        let wanted = match self.fill {
            Fill::Few => 1 + self.random.below(2),
            Fill::Some => 2 + self.random.below(5),
            Fill::Many => fields.len() / 2 + 1,
        };
        let mut members = Vec::new();
        for (at, field) in &fields {
            if self.budget > 0 && self.random.below(fields.len()) < wanted {
                self.budget -= 1;
                if let Some(reached) = &mut self.reached {
                    reached.insert(place(ty.ty, *at));
                }
                let value = match self.random.once_in(16) {
                    true => Node::raw("null"),
                    false => self.value(ty, &field.shape, depth + 1),
                };
                members.push((format!("\"{}\"", field.name), value));
            }
        }
        if self.random.once_in(3) {
            self.random.shuffle(&mut members);
        }
        members
    }

    fn value(&mut self, ty: TypeRef, shape: &Shape, depth: usize) -> Node {
        match shape {
            Shape::Struct(id) => Node::Object(self.members(ty.schema.resolve(*id), depth)),
            Shape::List(of) | Shape::Wrapped(of) => {
                Node::List((0..self.length()).map(|_| self.item(ty, of, depth)).collect())
            }
            Shape::Map(of) => {
                let mut members: Vec<(String, Node)> = Vec::new();
                for _ in 0..self.length() {
                    let key = scalar::string(self.random);
                    let value = self.item(ty, of, depth);
                    // Equal keys are the business of damage; two texts may be one key.
                    let same = |other: &str| {
                        serde_json::from_str::<String>(other).ok() == serde_json::from_str(&key).ok()
                    };
                    if !members.iter().any(|(other, _)| same(other)) && !key.contains("\\ud") {
                        members.push((key, value));
                    }
                }
                Node::Object(members)
            }
            Shape::SchemaOr(or, id) => self.schema_or(ty, *or, &Shape::Struct(*id), depth),
            Shape::Raw | Shape::FieldsV1 | Shape::Json => Node::Raw(opaque(self.random)),
            Shape::Any => Node::Raw(canonical(&free(self.random, 0))),
            Shape::Bool => Node::raw(self.random.once_in(2)),
            Shape::Int32 => Node::raw(scalar::int32(self.random)),
            Shape::Int64 => Node::raw(scalar::int64(self.random)),
            Shape::Float => Node::raw(scalar::float(self.random)),
            Shape::String => Node::Raw(scalar::string(self.random)),
            Shape::Bytes => Node::string(scalar::bytes(self.random)),
            Shape::Time | Shape::MicroTime => Node::string(&scalar::time(self.random)),
            Shape::Quantity => Node::Raw(scalar::quantity_json(self.random)),
            Shape::IntOrString if self.random.once_in(2) => Node::raw(scalar::int32(self.random)),
            Shape::IntOrString => Node::Raw(scalar::string(self.random)),
        }
    }

    fn length(&mut self) -> usize {
        self.random.choose(&[0, 1, 1, 2, 2, 3])
    }

    fn item(&mut self, ty: TypeRef, of: &Shape, depth: usize) -> Node {
        self.budget = self.budget.saturating_sub(1);
        if self.random.once_in(24) { Node::raw("null") } else { self.value(ty, of, depth) }
    }

    fn schema_or(&mut self, ty: TypeRef, or: SchemaOr, schema: &Shape, depth: usize) -> Node {
        match (or, self.random.below(2)) {
            (_, 0) => self.value(ty, schema, depth),
            (SchemaOr::Bool, _) => Node::raw(self.random.once_in(2)),
            (SchemaOr::Array, _) => Node::List(vec![self.value(ty, schema, depth)]),
            (SchemaOr::Strings, _) => Node::List(vec![Node::Raw(scalar::string(self.random))]),
        }
    }
}

/// JSON that nobody looks into. Upstream keeps its text; we keep what it means, so it is made in canonical form.
fn opaque(random: &mut Random) -> String {
    let members = (0..random.below(4)).map(|_| (scalar::plain(random).into(), free(random, 0)));
    let map = Value::Map(members.collect::<Map>());
    canonical(&map)
}

fn canonical(value: &Value) -> String {
    let mut out = Vec::new();
    write_any(value, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Any value at all.
fn free(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth < 3 { 8 } else { 5 }) {
        0 => Value::Null,
        1 => Value::Bool(random.once_in(2)),
        2 => Value::Int(scalar::int64(random)),
        3 => Value::Float(random.choose(&[0.5, -1.25, 1e21, 1e-7, 123_456.789])),
        4 | 5 => scalar::plain(random).into(),
        6 => Value::List((0..random.below(3)).map(|_| free(random, depth + 1)).collect()),
        _ => {
            let members =
                (0..random.below(3)).map(|_| (scalar::plain(random).into(), free(random, depth + 1)));
            Value::Map(members.collect::<Map>())
        }
    }
}
