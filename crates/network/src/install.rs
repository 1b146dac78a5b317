//! The files by which a container runtime finds the plugin.

use std::fs;
use std::io;
use std::path::Path;

use crate::config::NetworkConfig;

/// The names under which the runtime calls this binary. `loopback` is what containerd asks for by itself.
pub const PLUGINS: [&str; 2] = ["decapod-cni", "loopback"];

/// The file in the runtime's configuration directory.
pub const CONF: &str = "10-decapod.conflist";

/// Writes the configuration into `conf_dir`, and links to `binary` into `bin_dir`. Links of the same names that lead
/// elsewhere are replaced; files are not.
pub fn install(conf_dir: &Path, bin_dir: &Path, binary: &Path, config: &NetworkConfig) -> io::Result<()> {
    fs::create_dir_all(conf_dir)?;
    fs::create_dir_all(bin_dir)?;
    for name in PLUGINS {
        let link = bin_dir.join(name);
        match fs::symlink_metadata(&link) {
            Ok(found) if !found.is_symlink() && name == "loopback" => continue,
            Ok(found) if found.is_symlink() => fs::remove_file(&link)?,
            _ => {}
        }
        std::os::unix::fs::symlink(binary, &link)?;
    }
    let temporary = conf_dir.join(format!(".{CONF}"));
    fs::write(&temporary, conflist(config))?;
    fs::rename(&temporary, conf_dir.join(CONF))
}

/// Removes what [`install`] made; what leads elsewhere than to `binary` stays.
pub fn uninstall(conf_dir: &Path, bin_dir: &Path, binary: &Path) -> io::Result<()> {
    let absent_is_fine = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    absent_is_fine(fs::remove_file(conf_dir.join(CONF)))?;
    for name in PLUGINS {
        let link = bin_dir.join(name);
        if fs::read_link(&link).is_ok_and(|to| to == binary) {
            absent_is_fine(fs::remove_file(&link))?;
        }
    }
    Ok(())
}

/// The configuration: one plugin, with host ports.
pub fn conflist(config: &NetworkConfig) -> String {
    let conf = serde_json::json!({
        "cniVersion": "1.0.0",
        "name": config.table,
        "plugins": [{
            "type": PLUGINS[0],
            "capabilities": { "portMappings": true },
            "network": config,
        }],
    });
    format!("{conf:#}\n")
}
