//! What a boot showed: the programs this kernel took, and what went wrong.

use super::cases::cases;
use super::console::Console;
use super::matrix::Kernel;

/// The line of `sonde-agent probe` that tells of the agent's own programs.
const PROGRAMS: &str = "programs of this agent";

/// The one of the programs that watch sockets, which the oldest kernels refuse.
const SOCKETS: &str = "calls on sockets";

/// Requests of each kind that the guest makes, and the kinds of `tests/workloads/web.c`.
const REQUESTS: u32 = 50;
const KINDS: [&str; 8] = ["write", "send", "vector", "message", "file", "splice", "six", "unix"];

/// The one of the programs that count system calls, which every kernel has to take.
const SYSCALLS: &str = "tracepoints of system calls";

#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// As the kernel calls itself.
    pub(super) release: String,
    /// Seconds from the kernel's start to the first command, on the guest's clock.
    pub(super) boot_seconds: String,
    /// Each program, with its size to this kernel.
    pub(super) programs: Vec<String>,
    /// What the recordings showed.
    pub(super) recordings: Vec<String>,
    /// Why this kernel failed; empty if it did not.
    pub(super) failures: Vec<String>,
}

impl Verdict {
    pub(super) fn of(console: &Console, kernel: &Kernel) -> Self {
        let tells_of_sockets = kernel.tells_of_sockets();
        let mut verdict = Self::default();
        let told = |name| console.section(name).map(str::to_owned).unwrap_or_else(|_| "?".into());
        (verdict.release, verdict.boot_seconds) = (told("release"), told("booted"));
        if let Some(died) = console.died() {
            verdict.failures.push(died);
            return verdict;
        }
        let probe = console.section("probe");
        match probe.clone().and_then(|report| programs(report, PROGRAMS)) {
            Ok(programs) => verdict.programs = programs,
            Err(why) => verdict.failures.push(why),
        }
        match probe.clone().and_then(|report| programs(report, SYSCALLS)) {
            Ok(programs) => verdict.programs.extend(programs),
            Err(why) => verdict.failures.push(why),
        }
        match probe.and_then(|report| programs(report, SOCKETS)) {
            Ok(programs) if tells_of_sockets => verdict.programs.extend(programs),
            Err(why) if tells_of_sockets => verdict.failures.push(why),
            Ok(_) => verdict.failures.push(format!("{SOCKETS}: not expected here")),
            Err(_) => {}
        }
        if tells_of_sockets {
            match console.section("requests").and_then(requests) {
                Ok(told) => verdict.recordings.push(told),
                Err(why) => verdict.failures.push(why),
            }
        }
        for case in cases() {
            match recording(console, case.program).and_then(|folded| case.judge(folded)) {
                Ok(told) => verdict.recordings.push(told),
                Err(why) => verdict.failures.push(why),
            }
        }
        verdict
    }
}

/// Whether every request of the guest's server was told of, but for those that the kernel itself says
/// it left out: a call is of one request, and what it lacked may make another one incomplete.
fn requests(metrics: &str) -> Result<String, String> {
    let value = |line: &str| line.rsplit(' ').next()?.parse::<u32>().ok();
    let told = |kind: &&str| {
        let route = format!("http_route=\"/{kind}\"");
        let is_told = |line: &&str| {
            line.contains(&route) && line.contains("\"web\"") && !line.contains("error_type")
        };
        metrics.lines().find(is_told).and_then(value).unwrap_or(0)
    };
    let is_left_out = |line: &&str| line.contains("reason=\"socket_program_busy\"");
    let left_out = metrics.lines().find(is_left_out).and_then(value).unwrap_or(0);
    let wrong: Vec<&str> = KINDS.into_iter().filter(|kind| told(kind) != REQUESTS).collect();
    let missing: u32 = KINDS.iter().map(|kind| REQUESTS.abs_diff(told(kind))).sum();
    if missing > 2 * left_out {
        return Err(format!("requests: not {REQUESTS} of {}:\n{metrics}", wrong.join(", ")));
    }
    let all = REQUESTS * u32::try_from(KINDS.len()).unwrap_or(0);
    Ok(format!("requests: {} of {all}, {left_out} calls left out", all - missing))
}

fn recording<'a>(console: &'a Console, case: &str) -> Result<&'a str, String> {
    console.section(&format!("record {case}"))?;
    console.section(&format!("folded {case}"))
}

/// The programs that the probe's report has behind `name`.
fn programs(report: &str, name: &str) -> Result<Vec<String>, String> {
    let line = report.lines().find(|line| line.contains(name));
    let (_, told) = line
        .and_then(|line| line.split_once(name))
        .ok_or_else(|| format!("probe does not tell the {name}:\n{report}"))?;
    let programs: Vec<String> = told.split(';').map(|one| one.trim().to_owned()).collect();
    if programs.iter().all(|program| program.contains(" instructions")) {
        return Ok(programs);
    }
    Err(format!("probe tells no sizes: {told}"))
}

#[cfg(test)]
mod tests {
    use super::super::matrix::chosen;
    use super::*;

    #[test]
    fn programs_are_read_from_the_probe_s_report() {
        let report = "yes  rights                  CAP_SYS_ADMIN\n\
                      yes  programs of this agent  a: 7 instructions, 9 verified; b: 1 instructions, ? verified\n";
        let told = programs(report, PROGRAMS);
        let expected = ["a: 7 instructions, 9 verified", "b: 1 instructions, ? verified"];
        assert_eq!(told, Ok(expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_probe_that_loaded_nothing_fails() {
        assert!(programs("yes  programs of this agent  \n", PROGRAMS).is_err());
        assert!(programs("yes  rights  CAP_SYS_ADMIN\n", PROGRAMS).is_err());
    }

    #[test]
    fn requests_are_all_told_of_or_what_is_missing_is() {
        let line = |kind: &str, count: u32| {
            format!("x_count{{service_name=\"web\",http_route=\"/{kind}\"}} {count}\n")
        };
        let all: String = KINDS.iter().map(|kind| line(kind, REQUESTS)).collect();
        assert!(requests(&all).is_ok());
        let less = all.replace(&line("six", REQUESTS), &line("six", REQUESTS - 1));
        assert!(requests(&less).is_err_and(|why| why.starts_with("requests: not 50 of six:")));
        let told = less + "sonde_agent_http_losses_total{reason=\"socket_program_busy\"} 1\n";
        assert!(requests(&told).is_ok());
    }

    #[test]
    fn a_guest_that_never_came_up_fails_with_its_last_words() {
        let verdict =
            Verdict::of(&Console::parse("No init found\n"), &chosen(&[]).expect("all of them")[0]);
        assert!(verdict.failures[0].contains("No init found"), "{verdict:?}");
    }
}
