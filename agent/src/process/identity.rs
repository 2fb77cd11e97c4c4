//! What a process is called in what leaves this host: service and container.

use std::{path::Path, sync::Arc};

use sonde_ebpf::limits::COMM_BYTES;

use super::cgroup::{self, CgroupPath, Cgroups};
use super::environment::Environment;

/// Names of a process that belong on its profiles.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// `service.name` by the OpenTelemetry convention.
    pub service: Arc<str>,
    /// Id of its container.
    pub container_id: Option<Arc<str>>,
}

/// What is known when a process is to be named; each may be missing.
#[derive(Debug, Default)]
pub(super) struct Evidence<'a> {
    /// The service that its environment names.
    pub(super) configured: Option<&'a str>,
    /// Its cgroup.
    pub(super) cgroup: Option<&'a CgroupPath>,
    /// Path of its program.
    pub(super) executable: Option<&'a str>,
    /// Name of its main thread.
    pub(super) comm: &'a str,
}

/// Longest name taken from another process.
const MAX_NAME: usize = 128;

impl Identity {
    /// What kernel threads are called.
    pub(super) fn kernel() -> Self {
        Self { service: "kernel".into(), container_id: None }
    }

    /// What a process is called as far as `/proc` tells; `None` when it is gone.
    #[must_use]
    pub fn of_process(proc_root: &Path, pid: u32) -> Option<Self> {
        let folder = proc_root.join(pid.to_string());
        let comm = std::fs::read_to_string(folder.join("comm")).ok()?;
        let configured = Environment::new(pid, None).service(pid, proc_root, |_, _| true);
        let cgroup = cgroup::read(proc_root, pid).ok();
        let executable = executable_of(proc_root, pid);
        Some(Self::from_evidence(&Evidence {
            configured: configured.as_deref(),
            cgroup: cgroup.as_ref(),
            executable: executable.as_deref(),
            comm: comm.trim_end(),
        }))
    }

    /// What a process is called of which only a thread's name is known, padded with zeros.
    #[must_use]
    pub fn of_thread(comm: [u8; COMM_BYTES]) -> Self {
        Self::from_evidence(&Evidence { comm: &thread_name(comm), ..Evidence::default() })
    }

    /// What a process is called that is gone, of which a thread's name and the cgroup were noted.
    #[must_use]
    pub fn of_gone(comm: [u8; COMM_BYTES], cgroup_id: u64, cgroups: &mut Cgroups) -> Self {
        let cgroup = cgroups.path(cgroup_id);
        let evidence =
            Evidence { cgroup: cgroup.as_ref(), comm: &thread_name(comm), ..Evidence::default() };
        Self::from_evidence(&evidence)
    }

    /// The service is named by the first that says anything of: the environment, the systemd unit,
    /// the executable, the thread.
    pub(super) fn from_evidence(evidence: &Evidence<'_>) -> Self {
        let configured = evidence.configured.map(str::to_owned);
        let unit = || evidence.cgroup.and_then(CgroupPath::unit).and_then(clean);
        let executable = || evidence.executable.and_then(base_name).and_then(clean);
        let comm = || clean(evidence.comm);
        let service = configured.or_else(unit).or_else(executable).or_else(comm);
        Self {
            service: service.unwrap_or_else(|| "unknown".into()).into(),
            container_id: evidence.cgroup.and_then(CgroupPath::container_id).map(Arc::from),
        }
    }
}

/// Path of the program that a process runs, as far as `/proc` tells.
pub(super) fn executable_of(proc_root: &Path, pid: u32) -> Option<String> {
    let path = std::fs::read_link(proc_root.join(pid.to_string()).join("exe")).ok()?;
    Some(path.to_string_lossy().trim_end_matches(" (deleted)").to_owned())
}

/// A thread's name without the zeros behind it.
pub(super) fn thread_name(comm: [u8; COMM_BYTES]) -> String {
    let end = comm.iter().position(|byte| *byte == 0).unwrap_or(COMM_BYTES);
    String::from_utf8_lossy(&comm[..end]).into_owned()
}

/// The name that an environment, as `/proc/PID/environ` gives it, configures for its service.
pub(super) fn service_in_environment(environment: &[u8]) -> Option<String> {
    let variable = |name: &str| {
        let value = environment
            .split(|byte| *byte == 0)
            .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        str::from_utf8(value).ok()
    };
    variable("OTEL_SERVICE_NAME").and_then(clean).or_else(|| {
        let attributes = variable("OTEL_RESOURCE_ATTRIBUTES")?;
        attributes.split(',').find_map(|pair| clean(pair.trim().strip_prefix("service.name=")?))
    })
}

/// The last component of a path.
fn base_name(path: &str) -> Option<&str> {
    path.rsplit('/').next()
}

/// A name that is fit to be a label: another process wrote it, so control characters go and its
/// length is bounded. `None` if nothing is left.
fn clean(name: &str) -> Option<String> {
    let mut clean: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    let end = clean.floor_char_boundary(MAX_NAME);
    clean.truncate(end);
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(evidence: &Evidence<'_>) -> String {
        Identity::from_evidence(evidence).service.to_string()
    }

    #[test]
    fn the_service_is_named_by_the_first_that_says_anything() {
        let cgroup = CgroupPath("/system.slice/shop.service".into());
        let mut evidence = Evidence {
            configured: Some("checkout"),
            cgroup: Some(&cgroup),
            executable: Some("/usr/bin/node"),
            comm: "MainThread",
        };
        assert_eq!(service(&evidence), "checkout");
        evidence.configured = None;
        assert_eq!(service(&evidence), "shop");
        evidence.cgroup = None;
        assert_eq!(service(&evidence), "node");
        evidence.executable = None;
        assert_eq!(service(&evidence), "MainThread");
    }

    #[test]
    fn an_environment_names_its_service_by_either_variable_and_the_name_goes_first() {
        let of = |environment: &str| service_in_environment(environment.as_bytes());
        let both = "OTEL_RESOURCE_ATTRIBUTES=service.name=no\0OTEL_SERVICE_NAME=checkout\0B=2\0";
        assert_eq!(of(both).as_deref(), Some("checkout"));
        let attributes = "OTEL_RESOURCE_ATTRIBUTES=a=b, service.name=cart\0";
        assert_eq!(of(attributes).as_deref(), Some("cart"));
        assert_eq!(of("OTEL_SERVICE_NAME=\0XOTEL_SERVICE_NAME=no\0"), None);
    }

    #[test]
    fn a_hostile_name_is_cut_and_loses_its_control_characters() {
        let environment = format!("OTEL_SERVICE_NAME=a\nb\x1b{}", "é".repeat(200));
        let service = service_in_environment(environment.as_bytes()).expect("a name");
        assert!(service.starts_with("ab\u{e9}") && service.len() <= MAX_NAME, "{service}");
    }
}
