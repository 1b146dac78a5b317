//! Features of the kernel.

use std::path::Path;

use super::Finding;
use crate::cluster::preflight::{self, Feature};

/// The controllers that pods' limits need, and those that only some need.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
const MORE_CONTROLLERS: [&str; 2] = ["cpuset", "hugetlb"];

/// What a node needs of the kernel's file systems and network.
pub fn features() -> Vec<Finding> {
    if !rustix::process::geteuid().is_root() {
        return vec![Finding::warn("kernel", "not tried, which needs root: run it with sudo")];
    }
    let finding = |Feature { subject, missing }: Feature| match missing {
        None => Finding::ok(subject, "works"),
        Some(what) => Finding::fail(
            subject,
            format!("this kernel has no {what}: load it with modprobe, or boot a kernel that has it"),
        ),
    };
    preflight::features().into_iter().map(finding).collect()
}

/// Control groups of either version, and their controllers.
pub fn control_groups() -> Finding {
    let root = Path::new("/sys/fs/cgroup");
    match std::fs::read_to_string(root.join("cgroup.controllers")) {
        Ok(text) => of_controllers("v2", &|name| text.split_whitespace().any(|known| known == name)),
        Err(_) => of_controllers("v1", &|name| root.join(name).is_dir()),
    }
}

fn of_controllers(version: &str, has: &dyn Fn(&str) -> bool) -> Finding {
    const SUBJECT: &str = "cgroups";
    let lacks =
        |wanted: &[&str]| wanted.iter().filter(|name| !has(name)).copied().collect::<Vec<_>>().join(", ");
    let (needed, more) = (lacks(&CONTROLLERS), lacks(&MORE_CONTROLLERS));
    if !needed.is_empty() {
        Finding::fail(
            SUBJECT,
            format!(
                "{version} without {needed}: mount them below /sys/fs/cgroup, or boot with cgroup_enable={needed}"
            ),
        )
    } else if !more.is_empty() {
        Finding::ok(SUBJECT, format!("{version}, without {more}, which few pods ask for"))
    } else {
        Finding::ok(SUBJECT, format!("{version}, with all controllers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::checks::Level;

    #[test]
    fn what_controllers_lack_is_named() {
        let with = |names: &'static [&'static str]| of_controllers("v2", &move |name| names.contains(&name));
        assert_eq!(with(&["cpu", "memory", "pids", "cpuset", "hugetlb"]).level, Level::Ok);
        assert_eq!(with(&["cpu", "memory", "pids"]).level, Level::Ok);
        let finding = with(&["cpu", "pids"]);
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.text.contains("without memory:"), "{finding}");
    }
}
