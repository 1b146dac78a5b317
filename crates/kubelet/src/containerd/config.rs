//! Containerd's configuration file.

use std::path::{Path, PathBuf};

use super::Found;

/// What containerd is to be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The image of sandboxes.
    pub pause_image: String,
    /// Where CNI's configuration is; watched.
    pub cni_conf_dir: PathBuf,
    /// Where CNI's plugins are.
    pub cni_bin_dir: PathBuf,
    /// Whether OOM scores cannot be lowered here.
    pub restrict_oom_score_adj: bool,
}

/// The file for containerd `found`, with all that it keeps below `dir`.
pub fn render(dir: &Path, found: &Found, settings: &Settings) -> String {
    if found.version.0 >= 2 { render_v3(dir, found, settings) } else { render_v2(dir, found, settings) }
}

/// For containerd 2.
fn render_v3(dir: &Path, found: &Found, settings: &Settings) -> String {
    let Settings { pause_image, cni_conf_dir, cni_bin_dir, restrict_oom_score_adj } = settings;
    // 2.0 and 2.1 know only one directory of plugins.
    let bin_dirs = match found.version {
        (2, 0 | 1) => format!("bin_dir = {}", quote(cni_bin_dir)),
        _ => format!("bin_dirs = [{}]", quote(cni_bin_dir)),
    };
    format!(
        "version = 3
root = {root}
state = {state}
imports = []
disabled_plugins = ['io.containerd.nri.v1.nri', 'io.containerd.tracing.processor.v1.otlp']

[grpc]
  address = {socket}

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '{pause_image}'

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = {restrict_oom_score_adj}
  enable_cdi = false
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    {bin_dirs}
    conf_dir = {conf_dir}
    use_internal_loopback = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = 'runc'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    BinaryName = {runtime}
    Root = {runtime_root}
    SystemdCgroup = false

[plugins.'io.containerd.internal.v1.opt']
  path = {opt}
",
        root = quote(&dir.join("root")),
        state = quote(&dir.join("state")),
        socket = quote(&dir.join("containerd.sock")),
        conf_dir = quote(cni_conf_dir),
        runtime = quote(&found.runtime),
        runtime_root = quote(&dir.join("state/runc")),
        opt = quote(&dir.join("opt")),
    )
}

/// For containerd 1.6 and 1.7.
fn render_v2(dir: &Path, found: &Found, settings: &Settings) -> String {
    let Settings { pause_image, cni_conf_dir, cni_bin_dir, restrict_oom_score_adj } = settings;
    format!(
        "version = 2
root = {root}
state = {state}
imports = []

[grpc]
  address = {socket}

[plugins.'io.containerd.grpc.v1.cri']
  sandbox_image = '{pause_image}'
  restrict_oom_score_adj = {restrict_oom_score_adj}
  netns_mounts_under_state_dir = true
  disable_tcp_service = true
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  [plugins.'io.containerd.grpc.v1.cri'.cni]
    bin_dir = {bin_dir}
    conf_dir = {conf_dir}
  [plugins.'io.containerd.grpc.v1.cri'.containerd]
    default_runtime_name = 'runc'
  [plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
  [plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]
    BinaryName = {runtime}
    Root = {runtime_root}
    SystemdCgroup = false

[plugins.'io.containerd.internal.v1.opt']
  path = {opt}
",
        root = quote(&dir.join("root")),
        state = quote(&dir.join("state")),
        socket = quote(&dir.join("containerd.sock")),
        bin_dir = quote(cni_bin_dir),
        conf_dir = quote(cni_conf_dir),
        runtime = quote(&found.runtime),
        runtime_root = quote(&dir.join("state/runc")),
        opt = quote(&dir.join("opt")),
    )
}

/// A path as a TOML string.
fn quote(path: &Path) -> String {
    serde_json::Value::from(path.display().to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_gets_its_own_form() {
        let mut found = Found {
            containerd: "/c".into(),
            shim: "/s".into(),
            ctr: "/t".into(),
            runtime: "/usr/sbin/runc".into(),
            version: (2, 2),
        };
        let settings = Settings {
            pause_image: "pause:1".into(),
            cni_conf_dir: "/net.d".into(),
            cni_bin_dir: "/bin".into(),
            restrict_oom_score_adj: true,
        };
        let text = render(Path::new("/d"), &found, &settings);
        assert!(text.starts_with("version = 3") && text.contains("bin_dirs = [\"/bin\"]"), "{text}");
        found.version = (1, 6);
        let text = render(Path::new("/d"), &found, &settings);
        assert!(text.contains("sandbox_image = 'pause:1'") && text.contains("bin_dir = \"/bin\""), "{text}");
    }
}
