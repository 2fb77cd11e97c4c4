//! The settings of `record` and `doctor`.

use std::path::PathBuf;
use std::time::Duration;

use super::args::{RecordArgs, SpanArgs};
use super::file::FileValues;
use super::kind::{FREQUENCY, Kind, LOG_LEVEL, TABLE_BYTES};
use super::layers::{Environment, Layers, Source};
use super::problem::ConfigError;
use super::resolve::Resolver;
use super::run::Settings;
use super::{parse, show};
use crate::symbol::debuginfod::DebuginfodSettings;

/// What `record` and `doctor` need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSettings {
    /// How long; `None` when a command's life is the measure.
    pub duration: Option<Duration>,
    /// Samples per second and CPU.
    pub frequency: u32,
    /// Only these processes; empty means all.
    pub pids: Vec<u32>,
    /// Where to write what; `doctor` writes nothing.
    pub outputs: Vec<Output>,
    /// Program and arguments to run and profile; empty means none.
    pub command: Vec<String>,
    /// A level, or filter directives.
    pub log_level: String,
    /// Most bytes of unwind tables in the kernel.
    pub table_bytes: usize,
    /// Who is asked for the names of stripped programs; `None` for nobody.
    pub debuginfod: Option<DebuginfodSettings>,
}

impl RecordSettings {
    /// How long when nothing is said and no command is given.
    pub const DEFAULT_DURATION: Duration = Duration::from_secs(10);
}

/// One file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where.
    pub path: PathBuf,
    /// What, by the end of its name.
    pub format: OutputFormat,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputFormat {
    /// `.svg`: a flame graph.
    Svg,
    /// `.pb.gz`: gzipped pprof.
    Pprof,
    /// `.folded`: folded stacks.
    Folded,
}

impl OutputFormat {
    fn of(name: &str) -> Option<Self> {
        let formats = [(".svg", Self::Svg), (".pb.gz", Self::Pprof), (".folded", Self::Folded)];
        formats.into_iter().find(|(end, _)| name.ends_with(end)).map(|(_, format)| format)
    }
}

const DURATION: Kind<Duration> = Kind {
    parse: parse::recording,
    show: show::duration,
    expected: "a time up to a day",
    example: "10s",
};

/// Puts flags and environment together.
///
/// # Errors
/// All that is wrong, at once.
pub fn record_settings(
    args: &RecordArgs,
    environment: Environment<'_>,
) -> Result<RecordSettings, ConfigError> {
    settings(&args.span, &args.output, environment)
}

/// The same for `doctor`.
///
/// # Errors
/// As [`record_settings`].
pub fn doctor_settings(
    args: &SpanArgs,
    environment: Environment<'_>,
) -> Result<RecordSettings, ConfigError> {
    settings(args, &[], environment)
}

fn settings(
    args: &SpanArgs,
    output: &[PathBuf],
    environment: Environment<'_>,
) -> Result<RecordSettings, ConfigError> {
    let flags = vec![
        ("duration", "--duration", args.duration.clone()),
        ("frequency", "--frequency", args.frequency.clone()),
        ("table_bytes", "--table-bytes", args.table_bytes.clone()),
        ("debuginfod_urls", "--debuginfod-urls", args.debuginfod_urls.clone()),
    ];
    let layers = Layers { flags, environment, file: FileValues::default() };
    let mut resolver = Resolver { layers, problems: Vec::new(), origins: Vec::new() };
    let limit = resolver.optional("duration", &DURATION);
    let without_command = args.command.is_empty().then_some(RecordSettings::DEFAULT_DURATION);
    let settings = RecordSettings {
        duration: limit.or(without_command),
        frequency: resolver.value("frequency", &FREQUENCY, Settings::default().frequency),
        pids: pids(&mut resolver, args),
        outputs: outputs(&mut resolver, output),
        command: args.command.clone(),
        log_level: resolver.value("log_level", &LOG_LEVEL, "warn".to_owned()),
        table_bytes: resolver.value("table_bytes", &TABLE_BYTES, Settings::default().table_bytes),
        debuginfod: resolver.debuginfod().settings(),
    };
    match resolver.problems {
        problems if problems.is_empty() => Ok(settings),
        problems => Err(ConfigError { problems }),
    }
}

fn pids(resolver: &mut Resolver<'_>, args: &SpanArgs) -> Vec<u32> {
    let flag = Source::Flag("--pid");
    if !args.pid.is_empty() && !args.command.is_empty() {
        let what = "processes and a command are given".to_owned();
        resolver.wrong(flag.clone(), "", what, "give one of them");
    }
    let mut pids = Vec::new();
    for text in &args.pid {
        match parse::pid(text) {
            Some(pid) => pids.push(pid),
            None => {
                let what = format!("{text:?} is not a process id");
                resolver.wrong(flag.clone(), "", what, "write for example --pid 4711");
            }
        }
    }
    pids
}

fn outputs(resolver: &mut Resolver<'_>, paths: &[PathBuf]) -> Vec<Output> {
    let mut outputs = Vec::new();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        match OutputFormat::of(&name) {
            Some(format) => outputs.push(Output { path: path.clone(), format }),
            None => {
                let what = format!("{:?} has no known extension", path.display().to_string());
                let remedy = "end its name in .svg, .pb.gz or .folded";
                resolver.wrong(Source::Flag("-o"), "", what, remedy);
            }
        }
    }
    outputs
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use clap::Parser;

    use super::*;
    use crate::config::{Cli, Command};

    fn settings(line: &[&str]) -> Result<RecordSettings, ConfigError> {
        let typed = ["sonde-agent", "record"].iter().chain(line);
        let Command::Record(args) = Cli::try_parse_from(typed).unwrap().command else {
            panic!("`record` was typed");
        };
        record_settings(&args, &|_| None)
    }

    #[test]
    fn formats_go_by_the_end_of_the_name() {
        let settings = settings(&["-o", "a.svg", "-o", "b.pb.gz", "-o", "c.folded"]).unwrap();
        let formats: Vec<_> = settings.outputs.iter().map(|output| output.format).collect();
        assert_eq!(formats, [OutputFormat::Svg, OutputFormat::Pprof, OutputFormat::Folded]);
        assert_eq!((settings.duration, settings.frequency), (Some(Duration::from_secs(10)), 97));
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let refused =
            settings(&["-o", "a.png", "--duration", "10", "--frequency", "0", "--pid", "x"]);
        let expected = "\
--duration: duration: \"10\" is not a time up to a day; write for example 10s
--frequency: frequency: \"0\" is not a whole number of samples per second from 1 to 1000; write for example 97
--pid: \"x\" is not a process id; write for example --pid 4711
-o: \"a.png\" has no known extension; end its name in .svg, .pb.gz or .folded";
        assert_eq!(refused.unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_command_is_profiled_for_its_life_unless_a_limit_is_given() {
        let command = settings(&["-o", "a.svg", "--", "sleep", "--help"]).unwrap();
        assert_eq!((command.duration, command.command.len()), (None, 2));
        let limited = settings(&["-o", "a.svg", "--duration", "2s", "--", "sleep"]).unwrap();
        assert_eq!(limited.duration, Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_file_to_write_is_required() {
        assert!(Cli::try_parse_from(["sonde-agent", "record"]).is_err());
    }
}
