//! Cells of volumes, claims and classes.

use super::cell::{Cell, Function, Row};
use super::json::Json;
use super::path::Path;

/// The function of this name.
pub fn function(name: &str) -> Option<Function> {
    let function: Function = match name {
        "phase" => phase,
        "access_modes" => access_modes,
        "claim_capacity" => claim_capacity,
        "claim_access_modes" => claim_access_modes,
        "storage_class" => storage_class,
        "default_name" => default_name,
        _ => return None,
    };
    Some(function)
}

fn phase<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    if row.at("metadata.deletionTimestamp").exists() {
        return Some(Cell::text("Terminating"));
    }
    row.at("status.phase").text().map(Cell::Text)
}

/// Access modes in short, in a fixed order (`GetAccessModesAsString`).
fn modes(modes: Json) -> String {
    const SHORT: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |name: &str| modes.items().any(|mode| mode.is(name));
    let found: Vec<&str> = SHORT.into_iter().filter(|(name, _)| has(name)).map(|(_, short)| short).collect();
    found.join(",")
}

fn access_modes<'a>(row: &Row<'a>, paths: &[Path]) -> Option<Cell<'a>> {
    paths.first().map(|path| Cell::text(modes(path.first(row))))
}

/// Whether a claim has a volume; only then are its size and modes known.
fn bound(row: &Row) -> bool {
    !row.at("spec.volumeName").str().is_empty()
}

fn claim_capacity<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    bound(row).then(|| Cell::Text(row.at("status.capacity.storage").or("0")))
}

fn claim_access_modes<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    bound(row).then(|| Cell::text(modes(row.at("status.accessModes"))))
}

fn storage_class<'a>(row: &Row<'a>, _: &[Path]) -> Option<Cell<'a>> {
    let old = row.at("metadata.annotations").key("volume.beta.kubernetes.io/storage-class").text();
    old.or_else(|| row.at("spec.storageClassName").text()).map(Cell::Text)
}

/// The name, and whether one of the annotations makes it the default.
fn default_name<'a>(row: &Row<'a>, paths: &[Path]) -> Option<Cell<'a>> {
    let name = row.at("metadata.name").str();
    Some(match paths.iter().any(|path| path.first(row).is("true")) {
        true => Cell::text(format!("{name} (default)")),
        false => Cell::Text(name),
    })
}
