//! What a namespace asks of its pods, by its labels (k8s.io/pod-security-admission/api).

use std::borrow::Cow;
use std::fmt;

use decapod_api::Cause;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// How strict a standard is, in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything goes.
    Privileged,
    /// Nothing that gives rights over the node.
    Baseline,
    /// What is known to be good practice.
    Restricted,
}

/// As which release knew a standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `v1.x`.
    Minor(u64),
    /// The newest there is.
    Latest,
}

/// A level as a release knew it; written `baseline:v1.24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standard {
    /// How strict.
    pub level: Level,
    /// As when.
    pub version: Version,
}

/// What happens to pods that do not meet a standard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// They are refused.
    pub enforce: Standard,
    /// The audit log says so.
    pub audit: Standard,
    /// Whoever makes them is told.
    pub warn: Standard,
}

// === impl Level ===

impl Level {
    /// Reads a label's value. The error says what it may be.
    pub fn parse(text: &str) -> Result<Level, &'static str> {
        match text {
            "privileged" => Ok(Level::Privileged),
            "baseline" => Ok(Level::Baseline),
            "restricted" => Ok(Level::Restricted),
            _ => Err("must be one of privileged, baseline, restricted"),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        })
    }
}

// === impl Version ===

impl Version {
    /// Reads a label's value. The error says what it may be.
    pub fn parse(text: &str) -> Result<Version, &'static str> {
        if text == "latest" {
            return Ok(Version::Latest);
        }
        let minor = text.strip_prefix("v1.").filter(|digits| {
            let canonical = *digits == "0" || !digits.starts_with('0');
            canonical && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        let minor = minor.and_then(|digits| digits.parse::<i64>().ok());
        minor
            .and_then(|minor| u64::try_from(minor).ok())
            .map(Version::Minor)
            .ok_or("must be \"latest\" or \"v1.x\"")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Version::Minor(minor) => write!(f, "v1.{minor}"),
            Version::Latest => f.write_str("latest"),
        }
    }
}

// === impl Standard ===

impl Standard {
    /// The one that everything meets.
    pub const PRIVILEGED: Standard = Standard { level: Level::Privileged, version: Version::Latest };

    /// Whether both ask for the same.
    fn is_equivalent(self, other: Standard) -> bool {
        self == other || (self.level == Level::Privileged && other.level == Level::Privileged)
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.level, self.version)
    }
}

// === impl Policy ===

impl Policy {
    /// The policy that labels ask for, and what is wrong with them. A label that cannot be read is taken for the strictest
    /// in what is refused, and for nothing in what is told (upstream's `PolicyToEvaluate`).
    pub fn of<'a>(label: impl Fn(&str) -> Option<Cow<'a, str>>, defaults: &Policy) -> (Policy, Vec<Cause>) {
        let (mut policy, mut causes) = (defaults.clone(), Vec::new());
        let enforced = read(&label, "enforce", &mut policy.enforce, Level::Restricted, &mut causes);
        read(&label, "audit", &mut policy.audit, Level::Privileged, &mut causes);
        read(&label, "warn", &mut policy.warn, Level::Privileged, &mut causes);
        let says = |mode: &str| label(&format!("{PREFIX}{mode}")).is_some();
        // What is refused is at least warned of.
        if !says("warn") && enforced && policy.enforce.level > policy.warn.level {
            policy.warn.level = policy.enforce.level;
            if !says("warn-version") {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, causes)
    }

    /// Whether nothing comes of it.
    pub fn is_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|standard| standard.level == Level::Privileged)
    }

    /// Whether the same comes of both.
    pub fn is_equivalent(&self, other: &Policy) -> bool {
        self.enforce.is_equivalent(other.enforce)
            && self.audit.is_equivalent(other.audit)
            && self.warn.is_equivalent(other.warn)
    }

    /// What labels set that something would come of, such as `enforce=baseline:latest, warn=restricted:v1.30`.
    pub fn set_by<'a>(&self, label: impl Fn(&str) -> Option<Cow<'a, str>>) -> String {
        let modes = [("enforce", self.enforce), ("audit", self.audit), ("warn", self.warn)];
        let said = |mode: &str| {
            let key = format!("{PREFIX}{mode}");
            label(&key).is_some() || label(&format!("{key}-version")).is_some()
        };
        let set = modes.iter().filter(|(mode, standard)| standard.level != Level::Privileged && said(mode));
        set.map(|(mode, standard)| format!("{mode}={standard}")).collect::<Vec<_>>().join(", ")
    }
}

/// Reads the two labels of a mode. Whether there is a level, and it could be read.
fn read<'a>(
    label: &impl Fn(&str) -> Option<Cow<'a, str>>,
    mode: &str,
    standard: &mut Standard,
    if_wrong: Level,
    causes: &mut Vec<Cause>,
) -> bool {
    let mut wrong = |key: &str, value: &str, why: &str| {
        causes.push(Cause::invalid(format!("metadata.labels[{key}]"), &value.into(), why));
    };
    let mut leveled = false;
    let key = format!("{PREFIX}{mode}");
    if let Some(value) = label(&key) {
        let level = Level::parse(&value);
        leveled = level.is_ok();
        standard.level = level.unwrap_or_else(|why| {
            wrong(&key, &value, why);
            if_wrong
        });
    }
    let key = format!("{key}-version");
    if let Some(value) = label(&key) {
        standard.version = Version::parse(&value).unwrap_or_else(|why| {
            wrong(&key, &value, why);
            Version::Latest
        });
    }
    leveled
}
