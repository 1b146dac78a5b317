//! A fake of [`Nftables`]: keeps what it is told, refuses what the kernel would, and shows tables and batches as
//! text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::render::{element_text, rule_text, set_type};
use super::{Batch, Change, Element, Family, Nftables, NftablesError, Set};
use crate::netlink::NetlinkError;

/// A packet filter that exists in memory only.
#[derive(Default)]
pub struct NftablesRecorder(Mutex<State>);

#[derive(Default)]
struct State {
    tables: BTreeMap<(Family, String), Table>,
    log: String,
    changes: usize,
    refusals: usize,
}

#[derive(Clone, Default)]
struct Table {
    chains: BTreeMap<String, (String, Vec<String>)>,
    sets: BTreeMap<String, (String, BTreeMap<Vec<u8>, String>)>,
}

// === impl NftablesRecorder ===

impl NftablesRecorder {
    /// The batches since the last call, as text.
    pub fn take_log(&self) -> String {
        std::mem::take(&mut self.lock().log)
    }

    /// How many changes and elements have been applied since the last call.
    pub fn take_changes(&self) -> usize {
        std::mem::take(&mut self.lock().changes)
    }

    /// Refuses the next `count` batches.
    pub fn refuse(&self, count: usize) {
        self.lock().refusals = count;
    }

    /// All tables as they are, in order of names. Chains that nothing leads to and empty sets are left out, so that
    /// two ways to the same effect show the same text.
    pub fn ruleset(&self) -> String {
        let mut text = String::new();
        for ((family, name), table) in &self.lock().tables {
            writeln!(text, "table {} {name}", family.as_str()).expect("a string takes all");
            table.show(&mut text);
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nftables for NftablesRecorder {
    fn apply(&self, batch: &Batch) -> Result<(), NftablesError> {
        let mut state = self.lock();
        if state.refusals > 0 {
            state.refusals -= 1;
            let error = NetlinkError::Refused { code: Errno::NOBUFS, sequence: 0 };
            return Err(NftablesError::Batch { table: batch.title(), error });
        }
        let key = (batch.family, batch.table.clone());
        let mut table = state.tables.get(&key).cloned();
        for change in &batch.changes {
            table = step(table, change).map_err(|code| NftablesError::Change {
                table: batch.title(),
                change: change.to_string(),
                error: NetlinkError::Refused { code, sequence: 0 },
            })?;
            state.changes += match change {
                Change::AddElements { elements, .. } | Change::DeleteElements { elements, .. } => {
                    elements.len()
                }
                _ => 1,
            };
        }
        write!(state.log, "{batch}").expect("a string takes all");
        match table {
            Some(table) => state.tables.insert(key, table),
            None => state.tables.remove(&key),
        };
        Ok(())
    }

    fn tables(&self) -> Result<Vec<(Family, String)>, NftablesError> {
        Ok(self.lock().tables.keys().cloned().collect())
    }
}

/// The table after `change`; the kernel's code when it would refuse.
fn step(table: Option<Table>, change: &Change) -> Result<Option<Table>, Errno> {
    if matches!(change, Change::AddTable) {
        return Ok(Some(table.unwrap_or_default()));
    }
    let mut table = table.ok_or(Errno::NOENT)?;
    match change {
        Change::AddTable => {}
        Change::DeleteTable => return Ok(None),
        Change::AddChain(chain) => {
            let base = chain.base.map(|base| base.to_string()).unwrap_or_default();
            table.chains.entry(chain.name.clone()).or_insert((base, Vec::new()));
        }
        Change::FlushChain(name) => table.chains.get_mut(name).ok_or(Errno::NOENT)?.1.clear(),
        Change::DeleteChain(name) => drop(table.chains.remove(name).ok_or(Errno::NOENT)?),
        Change::AddSet(set) => {
            table.sets.entry(set.name.clone()).or_insert_with(|| (set_type(set), BTreeMap::new()));
        }
        Change::FlushSet(set) => table.sets.get_mut(&set.name).ok_or(Errno::NOENT)?.1.clear(),
        Change::DeleteSet(set) => drop(table.sets.remove(&set.name).ok_or(Errno::NOENT)?),
        Change::AddRule { chain, rule } => {
            table.chains.get_mut(chain).ok_or(Errno::NOENT)?.1.push(rule_text(rule));
        }
        Change::AddElements { set, elements } => {
            elements.iter().try_for_each(|element| table.add(set, element))?;
        }
        Change::DeleteElements { set, elements } => {
            let held = &mut table.sets.get_mut(&set.name).ok_or(Errno::NOENT)?.1;
            for element in elements {
                held.remove(&element.key).ok_or(Errno::NOENT)?;
            }
        }
    }
    Ok(Some(table))
}

// === impl Table ===

impl Table {
    fn add(&mut self, set: &Set, element: &Element) -> Result<(), Errno> {
        let text = element_text(set, element);
        if let Some((_, chain)) = text.split_once(": goto ").or_else(|| text.split_once(": jump ")) {
            self.chains.get(chain).ok_or(Errno::NOENT)?;
        }
        if element.key.len() != super::data::bytes_of(&set.key) {
            return Err(Errno::INVAL);
        }
        let held = &mut self.sets.get_mut(&set.name).ok_or(Errno::NOENT)?.1;
        match held.insert(element.key.clone(), text.clone()) {
            Some(other) if other != text => Err(Errno::EXIST),
            _ => Ok(()),
        }
    }

    fn show(&self, text: &mut String) {
        let mut line = |words: String| writeln!(text, "  {words}").expect("a string takes all");
        let rules = self.chains.values().flat_map(|(_, rules)| rules);
        let elements = self.sets.values().flat_map(|(_, elements)| elements.values());
        let leads: Vec<&str> = rules
            .chain(elements)
            .filter_map(|words| words.rsplit_once("goto ").or(words.rsplit_once("jump ")))
            .map(|(_, chain)| chain)
            .collect();
        for (name, (declaration, elements)) in
            self.sets.iter().filter(|(_, (_, elements))| !elements.is_empty())
        {
            line(format!("set {name} {{ {declaration} }}"));
            elements.values().for_each(|element| line(format!("  {element}")));
        }
        for (name, (base, rules)) in &self.chains {
            if base.is_empty() && !leads.contains(&name.as_str()) {
                continue;
            }
            line(format!("chain {name} {base}").trim_end().to_owned());
            rules.iter().for_each(|rule| line(format!("  {rule}")));
        }
    }
}
