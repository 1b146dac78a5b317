//! Kernel modules: which are loaded, and unloading them.

use std::ffi::CString;
use std::io;
use std::path::Path;

/// Do not wait until nobody uses it any more (`O_NONBLOCK`, delete_module(2)).
const AT_ONCE: i32 = 0o4000;

/// A module that is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, such as `nf_tables`.
    pub name: String,
    /// How many use it, other modules among them.
    pub users: u64,
}

/// The modules that are loaded; none where all is built into the kernel.
pub fn loaded() -> io::Result<Vec<Module>> {
    match std::fs::read_to_string(Path::new("/proc/modules")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        text => Ok(parse(&text?)),
    }
}

/// Unloads a module that nobody uses; fails where somebody does.
pub fn unload(name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    Ok(rustix::system::delete_module(&name, AT_ONCE)?)
}

/// `/proc/modules`: name, bytes, users and more.
fn parse(text: &str) -> Vec<Module> {
    let module = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, users) = (words.next()?, words.nth(1)?.parse().ok()?);
        Some(Module { name: name.to_owned(), users })
    };
    text.lines().filter_map(module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_read_with_their_users() {
        let text = "nf_nat 61440 2 nft_chain_nat,nft_masq, Live 0x0\nveth 45056 0 - Live 0x0\ndamaged\n";
        let module = |name: &str, users| Module { name: name.to_owned(), users };
        assert_eq!(parse(text), [module("nf_nat", 2), module("veth", 0)]);
        assert!(loaded().is_ok());
    }

    #[test]
    fn a_module_that_is_not_there_cannot_be_unloaded() {
        assert!(unload("decapod_has_no_module").is_err());
    }
}
