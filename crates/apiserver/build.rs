//! Gathers what `kubectl explain` prints: the descriptions of types and fields, out of the sources of the crate
//! `k8s-openapi`, which every build has at hand. Its `schemars` implementations hold them; to compile those would take
//! a minute, to read them takes a moment.
//!
//! Writes `prose.gz`: a line a type (its OpenAPI name, a tab, its description), then a line a field (a tab, its name, a
//! tab, its description), with line ends escaped as `\n`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, error, fs};

type Error = Box<dyn error::Error>;

/// The descriptions of one type: its own, and by name those of its fields.
#[derive(Default)]
struct Prose {
    name: String,
    own: String,
    fields: BTreeMap<String, String>,
}

/// The version of Kubernetes that is served, as the crate's folders are called.
const VERSION: &str = "v1_36";
/// Fewer types than this mean that the sources look otherwise than this reader expects.
const TYPES_MIN: usize = 600;

fn main() -> Result<(), Error> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    let mut types = Vec::new();
    gather(&sources()?, &mut types)?;
    if types.len() < TYPES_MIN {
        return Err(format!("only {} types have descriptions", types.len()).into());
    }
    types.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::new();
    for Prose { name, own, fields } in &types {
        text += &format!("{name}\t{own}\n");
        text.extend(fields.iter().map(|(name, description)| format!("\t{name}\t{description}\n")));
    }
    let target = Path::new(&env::var("OUT_DIR")?).join("prose.gz");
    let mut encoder = flate2::write::GzEncoder::new(fs::File::create(target)?, flate2::Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()?;
    Ok(())
}

/// The folder of k8s-openapi's sources for our version.
fn sources() -> Result<PathBuf, Error> {
    // What is not at hand is fetched, as the build itself would.
    let metadata = metadata(&["--offline"]).or_else(|_| metadata(&[]))?;
    let paths = metadata.split("\"manifest_path\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let manifest = paths.into_iter().find(|path| path.contains("/k8s-openapi-"));
    let source = Path::new(manifest.ok_or("no k8s-openapi in the workspace")?).with_file_name("src");
    Ok(source.join(VERSION))
}

fn metadata(arguments: &[&str]) -> Result<String, Error> {
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &env::var("TARGET")?])
        .args(arguments)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn gather(folder: &Path, types: &mut Vec<Prose>) -> Result<(), Error> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            gather(&path, types)?;
        } else if let Some((_, schema)) = fs::read_to_string(&path)?.split_once("JsonSchema for ") {
            types.extend(read(schema));
        }
    }
    Ok(())
}

/// Reads an implementation of `JsonSchema`, one line at a time. The generated code is regular: the type's description is
/// indented by twelve blanks, a property's name by sixteen, and its description follows.
fn read(schema: &str) -> Option<Prose> {
    let mut prose = Prose::default();
    let mut property = None;
    for line in schema.lines() {
        let (indent, text) = (line.len() - line.trim_start().len(), line.trim_start());
        let description = text
            .strip_prefix("\"description\": ")
            .or_else(|| text.strip_prefix("schema_obj.ensure_object().insert(\"description\".into(), "))
            .and_then(literal);
        match (indent, description) {
            (8, _) if prose.name.is_empty() => prose.name = literal(text)?,
            (12, Some(own)) => prose.own = own,
            (20, Some(description)) => drop(prose.fields.insert(property.clone()?, description)),
            (16, _) if text.ends_with('{') => property = literal(text),
            _ => {}
        }
    }
    Some(prose).filter(|prose| !prose.name.is_empty())
}

/// The text of the literal that a line begins with, its line ends and tabs escaped still.
fn literal(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some(out),
            '\\' => match chars.next()? {
                escaped @ ('n' | 't' | '\\') => out.extend(['\\', escaped]),
                plain => out.push(plain),
            },
            plain => out.push(plain),
        }
    }
}
