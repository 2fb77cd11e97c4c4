//! Environments that programs were started with, as far as they name a service. Copies of a process
//! share one, and where it cannot be read it is taken to be that of the program's starter.
//!
//! ```text
//!  shell ──fork──► copy of shell ──exec──► program       an exec makes an environment, a fork shares it;
//!  E1              E1                      E2 ─┐         E2 was made from E1, most often without a
//!                                   E1 ◄───────┘         change, and answers by E1 if it is gone
//! ```

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    sync::{Arc, OnceLock},
};

use super::identity::service_in_environment;
use super::stat;

/// Reads at most so much of a process's environment: variables behind it are not looked at.
const MAX_BYTES: u64 = 256 << 10;
/// Execs in a row of which none was looked at; past this the ones in the middle are left out.
const MAX_DEPTH: u8 = 16;

/// What a program was started with.
#[derive(Debug)]
pub(super) struct Environment {
    /// The process that began the program.
    owner: u32,
    /// What that process had before.
    before: Option<Arc<Environment>>,
    depth: u8,
    service: OnceLock<Option<Arc<str>>>,
}

impl Environment {
    /// The environment of the program that `owner` runs from now on.
    pub(super) fn new(owner: u32, before: Option<Arc<Self>>) -> Arc<Self> {
        let before = before.map(|before| {
            if before.depth < MAX_DEPTH { before } else { Self::first_that_knows(before) }
        });
        let depth = before.as_ref().map_or(0, |before| before.depth + 1);
        Arc::new(Self { owner, before, depth, service: OnceLock::new() })
    }

    fn first_that_knows(mut environment: Arc<Self>) -> Arc<Self> {
        while let (None, Some(before)) = (environment.service.get(), &environment.before) {
            environment = Arc::clone(before);
        }
        match environment.service.get() {
            // Who knows asks nobody: kept, those before it would be one more with every exec.
            Some(service) => Arc::new(Self {
                owner: environment.owner,
                before: None,
                depth: 0,
                service: OnceLock::from(service.clone()),
            }),
            None => environment,
        }
    }

    /// The service that it names, by the first that can be read: `pid`'s own, which has it; its
    /// owner's; those that it was made from. `is_current` says whether a process still has one.
    pub(super) fn service(
        self: &Arc<Self>,
        pid: u32,
        proc_root: &Path,
        is_current: impl Fn(u32, &Arc<Self>) -> bool,
    ) -> Option<Arc<str>> {
        let mut asked = Some(self);
        while let Some(environment) = asked {
            let own = Arc::ptr_eq(environment, self).then_some(pid);
            let owner = Some(environment.owner).filter(|owner| is_current(*owner, environment));
            let read = || own.into_iter().chain(owner).find_map(|pid| read(proc_root, pid));
            let known = environment.service.get().cloned();
            let found = known.or_else(|| {
                let bytes = read()?;
                Some(service_in_environment(&bytes).map(Arc::from))
            });
            if let Some(service) = found {
                return self.service.get_or_init(|| service).clone();
            }
            asked = environment.before.as_ref();
        }
        None
    }
}

/// The environment of a process; none if it has ended or its program is only being loaded, where the
/// kernel shows an empty one.
fn read(proc_root: &Path, pid: u32) -> Option<Vec<u8>> {
    let process = proc_root.join(pid.to_string());
    let mut bytes = Vec::new();
    File::open(process.join("environ")).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty() || has_environment(&process)).then_some(bytes)
}

/// By the address of the environment in `/proc/PID/stat`: the 48th field behind the name.
fn has_environment(process: &Path) -> bool {
    stat::field(process, 47).is_some_and(|address| address != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Processes(tempfile::TempDir);

    impl Processes {
        fn none() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn with(self, pid: u32, environment: &str, environment_at: u64) -> Self {
            let folder = self.0.path().join(pid.to_string());
            fs::create_dir(&folder).expect("made");
            fs::write(folder.join("environ"), environment).expect("written");
            let zeros = "0 ".repeat(46);
            let stat = format!("{pid} (a) b) S {zeros}{environment_at} 0 0\n");
            fs::write(folder.join("stat"), stat).expect("written");
            self
        }

        fn service(&self, pid: u32, environment: &Arc<Environment>) -> Option<String> {
            let service = environment.service(pid, self.0.path(), |_, _| true);
            service.map(|service| service.to_string())
        }
    }

    const SHOP: &str = "A=1\0OTEL_SERVICE_NAME=shop\0";

    #[test]
    fn what_can_be_read_wins_over_what_is_inherited() {
        let shell = Environment::new(1, None);
        let program = Environment::new(2, Some(Arc::clone(&shell)));
        let both = Processes::none().with(1, SHOP, 9).with(2, "OTEL_SERVICE_NAME=cart\0", 9);
        assert_eq!(both.service(2, &program).as_deref(), Some("cart"));
        let unnamed = Processes::none().with(1, SHOP, 9).with(2, "A=1\0", 9);
        assert_eq!(unnamed.service(2, &Environment::new(2, Some(shell))), None);
    }

    #[test]
    fn a_program_that_is_gone_has_its_starter_s_service_however_many_execs_lie_between() {
        let processes = Processes::none().with(1, SHOP, 9);
        let mut environment = Environment::new(1, None);
        for pid in 2..100 {
            environment = Environment::new(pid, Some(environment));
        }
        assert!(environment.depth <= MAX_DEPTH + 1);
        assert_eq!(processes.service(99, &environment).as_deref(), Some("shop"));
    }

    #[test]
    fn execs_without_end_that_are_all_looked_at_keep_few_environments() {
        let processes = Processes::none().with(1, SHOP, 9);
        let mut environment = Environment::new(1, None);
        for _ in 0..1000 {
            environment = Environment::new(1, Some(environment));
            assert_eq!(processes.service(1, &environment).as_deref(), Some("shop"));
        }
        let kept = std::iter::successors(Some(&environment), |kept| kept.before.as_ref());
        assert!(kept.count() <= usize::from(MAX_DEPTH) + 2);
    }

    #[test]
    fn an_empty_environment_is_believed_only_if_there_is_one() {
        let of = |at| Processes::none().with(1, SHOP, 9).with(2, "", at);
        let program = || Environment::new(2, Some(Environment::new(1, None)));
        assert_eq!(of(0).service(2, &program()).as_deref(), Some("shop"), "a zombie");
        assert_eq!(of(9).service(2, &program()), None, "started by `env -i`");
    }

    #[test]
    fn a_process_that_runs_another_program_by_now_is_not_asked() {
        let processes = Processes::none().with(1, SHOP, 9);
        let child = Environment::new(2, Some(Environment::new(1, None)));
        assert_eq!(child.service(2, processes.0.path(), |_, _| false), None);
    }
}
