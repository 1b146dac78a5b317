//! The other clusters on this machine. All of them need some of the machine's settings, such as forwarding: the first
//! that comes changes them, so that the last that goes has to put them back. Each leaves a link to its folder under a
//! directory that all know; one that goes hands what it knows of the settings over to one that stays.

use std::io;
use std::path::Path;

use decapod_network::Ledger;

use super::Paths;

/// Where the links are: on a file system that begins empty when the machine does, as the settings do.
const REGISTER: &str = "/run/decapod";

/// Says that the cluster `name` is on this machine.
pub fn register(name: &str, paths: &Paths) -> io::Result<()> {
    register_in(Path::new(REGISTER), name, paths)
}

/// Takes that back, and gives `ledger` to another cluster; whether there is one that has it now.
pub fn hand_over(paths: &Paths, ledger: &Ledger) -> io::Result<bool> {
    hand_over_in(Path::new(REGISTER), paths, ledger)
}

fn register_in(register: &Path, name: &str, paths: &Paths) -> io::Result<()> {
    std::fs::create_dir_all(register)?;
    let link = register.join(name);
    let data = std::path::absolute(&paths.data)?;
    match std::fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => std::os::unix::fs::symlink(data, link),
    }
}

fn hand_over_in(register: &Path, paths: &Paths, ledger: &Ledger) -> io::Result<bool> {
    let entries = match std::fs::read_dir(register) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    let own = std::path::absolute(&paths.data)?;
    let mut handed = false;
    for entry in entries {
        let link = entry?.path();
        let Ok(data) = std::fs::read_link(&link) else { continue };
        if data == own {
            std::fs::remove_file(&link)?;
            continue;
        }
        let heir = Paths { data }.ledger();
        // One whose folder is gone was taken away by other means.
        let Ok(text) = std::fs::read(&heir) else { continue };
        if !handed {
            let known: Ledger = serde_json::from_slice(&text)?;
            // What we changed, the other found changed, so that ours says what was before.
            let mut all = ledger.clone();
            all.merge(known);
            std::fs::write(&heir, serde_json::to_vec_pretty(&all)?)?;
            handed = true;
        }
    }
    // It stays as long as others are in it.
    match std::fs::remove_dir(register) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
        _ => Ok(handed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use decapod_network::ledger::SysctlChange;

    fn change(name: &str) -> Ledger {
        let change = SysctlChange { name: name.into(), before: "0".into(), after: "1".into() };
        Ledger { sysctls: vec![change], ..Ledger::default() }
    }

    fn cluster(dir: &Path, name: &str, ledger: &Ledger) -> Paths {
        let paths = Paths { data: dir.join(name) };
        std::fs::create_dir_all(&paths.data).unwrap();
        std::fs::write(paths.ledger(), serde_json::to_vec(ledger).unwrap()).unwrap();
        register_in(&dir.join("register"), name, &paths).unwrap();
        paths
    }

    #[test]
    fn the_last_cluster_puts_the_settings_back() {
        let dir = std::env::temp_dir().join(format!("decapod-neighbors-{}", std::process::id()));
        let register = dir.join("register");
        let first = cluster(&dir, "first", &change("forward"));
        let second = cluster(&dir, "second", &Ledger::default());
        assert!(hand_over_in(&register, &first, &change("forward")).unwrap());
        let inherited: Ledger = serde_json::from_slice(&std::fs::read(second.ledger()).unwrap()).unwrap();
        assert_eq!(inherited, change("forward"));
        assert!(!hand_over_in(&register, &second, &inherited).unwrap());
        assert!(!register.exists());
        assert!(!hand_over_in(&register, &second, &inherited).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
