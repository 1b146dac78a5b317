//! Kernel modules that are loaded because a node needs what they do. The kernel loads them by itself when links, rules and
//! mounts are made, so that those are looked at that were loaded before; `uninstall` unloads the others.

use std::time::Duration;

use decapod_network::Ledger;
use decapod_network::ledger::ModulesBefore;
use decapod_sys::module::{self, Module};

use super::{Error, Paths, ledger};

/// What a node's links, rules and mounts are made of. Whatever else was loaded meanwhile is somebody else's.
const NEEDED: [&str; 6] = ["overlay", "bridge", "stp", "llc", "veth", "libcrc32c"];
const NEEDED_FAMILIES: [&str; 3] = ["nf_", "nft_", "nfnetlink"];
/// The kernel takes rules and namespaces apart a little after they are gone.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// The modules that are loaded now, before anything of ours is made.
pub fn before() -> Ledger {
    let names = module::loaded().unwrap_or_default().into_iter().map(|module| module.name).collect();
    Ledger { modules: Some(ModulesBefore { boot: boot(), names }), ..Ledger::default() }
}

/// Writes down which modules were loaded.
pub fn note(paths: &Paths, before: Ledger) -> Result<(), Error> {
    ledger::add(paths, before)
}

/// Unloads what was loaded since and nobody uses; what is left of it, because somebody does or the process may not.
pub async fn unload(before: Option<ModulesBefore>) -> Vec<String> {
    let Some(before) = before.filter(|before| before.boot == boot()) else { return Vec::new() };
    let mut left = Vec::new();
    for _ in 0..TRIES {
        // Each that goes may have been the last user of another.
        loop {
            left = ours(module::loaded().unwrap_or_default(), &before.names);
            let unused = left.iter().filter(|module| module.users == 0);
            if unused.filter(|module| module::unload(&module.name).is_ok()).count() == 0 {
                break;
            }
        }
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    left.into_iter().map(|module| module.name).collect()
}

/// Those of `loaded` that a node needs and that were not there before.
fn ours(loaded: Vec<Module>, before: &[String]) -> Vec<Module> {
    let needed =
        |name: &str| NEEDED.contains(&name) || NEEDED_FAMILIES.iter().any(|family| name.starts_with(family));
    loaded.into_iter().filter(|module| needed(&module.name) && !before.contains(&module.name)).collect()
}

/// Which boot of the machine this is.
fn boot() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_loaded_before_and_what_is_not_for_a_node_stays() {
        let loaded = ["overlay", "nf_nat", "nft_masq", "veth", "nfs", "usb_storage"];
        let loaded = loaded.map(|name| Module { name: name.to_owned(), users: 0 }).to_vec();
        let names: Vec<String> =
            ours(loaded, &["overlay".to_owned()]).into_iter().map(|module| module.name).collect();
        assert_eq!(names, ["nf_nat", "nft_masq", "veth"]);
    }

    #[test]
    fn of_two_starts_what_was_loaded_before_the_first_counts() {
        let before = |boot: &str, names: &[&str]| Ledger {
            modules: Some(ModulesBefore {
                boot: boot.to_owned(),
                names: names.iter().map(ToString::to_string).collect(),
            }),
            ..Ledger::default()
        };
        let mut ledger = Ledger::default();
        ledger.merge(before("1", &["overlay"]));
        ledger.merge(before("1", &["overlay", "veth"]));
        ledger.merge(Ledger::default());
        assert_eq!(ledger, before("1", &["overlay"]));
        // The next boot of the machine began without any.
        ledger.merge(before("2", &["veth"]));
        assert_eq!(ledger, before("2", &["veth"]));
    }
}
