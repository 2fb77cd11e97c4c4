//! Which source wins, and what is said when one is wrong.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use clap::Parser;
use tempfile::NamedTempFile;

use super::*;
use crate::config::{Cli, Command};
use crate::export::otlp::Protocol;

fn resolve(
    line: &[&str],
    variables: &[(&str, &str)],
    file: Option<&str>,
) -> Result<Effective, ConfigError> {
    let mut on_disk = NamedTempFile::new().unwrap();
    on_disk.write_all(file.unwrap_or_default().as_bytes()).unwrap();
    let typed = ["sonde-agent", "run"].iter().chain(line);
    let Command::Run(mut args) = Cli::try_parse_from(typed).unwrap().command else {
        panic!("`run` was typed");
    };
    args.config = file.map(|_| on_disk.path().to_owned());
    run_settings(&args, &|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

/// The problems as lines, the file's path shortened.
fn refused(line: &[&str], variables: &[(&str, &str)], file: Option<&str>) -> Vec<String> {
    let error = resolve(line, variables, file).unwrap_err();
    let mut problems = error.problems;
    for problem in &mut problems {
        if let Source::File(path, _) = &mut problem.source {
            *path = "agent.yaml".into();
        }
    }
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = Some("frequency: 11\nwindow: 11s\nhost: eleven\n");
    let variables = [("SONDE_AGENT_FREQUENCY", "22"), ("SONDE_AGENT_WINDOW", "22s")];
    let Effective { settings, origins } =
        resolve(&["--frequency", "33"], &variables, file).unwrap();
    assert_eq!(settings.frequency, 33);
    assert_eq!(settings.window, Duration::from_secs(22));
    assert_eq!(settings.host.as_deref(), Some("eleven"));
    assert_eq!(settings.collector, Settings::default().collector);
    let source = |key| origins.iter().find(|origin| origin.key == key).unwrap().source.to_string();
    assert_eq!(source("frequency"), "--frequency");
    assert_eq!(source("window"), "SONDE_AGENT_WINDOW");
    assert!(source("host").ends_with(":3:7"), "{}", source("host"));
    assert_eq!(source("collector"), "default");
}

#[test]
fn without_a_word_the_settings_are_the_defaults_and_every_key_is_shown() {
    let Effective { settings, origins } = resolve(&[], &[], None).unwrap();
    assert_eq!(settings, Settings::default());
    let mut shown: Vec<_> = origins.iter().map(|origin| origin.key).collect();
    let mut keys = KEYS.to_vec();
    shown.sort_unstable();
    keys.sort_unstable();
    assert_eq!(shown, keys);
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_its_place() {
    let file = Some("# comment\nwindow:  soon\ncolour: red\n");
    let variables = [("SONDE_AGENT_LISTEN", "here")];
    assert_eq!(
        refused(&["--collector", "h:1"], &variables, file),
        [
            "agent.yaml:3:9: colour: there is no such setting; the settings are collector, listen, \
             frequency, window, host, log_level, labels, headers, tenant, bearer_token, \
             bearer_token_file, basic_auth, queue_bytes, table_bytes, requests, otlp, trace_ratio, \
             spans_per_second, slow, syscalls, debuginfod_urls, debuginfod_cache, debuginfod_cache_bytes",
            "--collector: collector: \"h:1\" is not an http or https address with a host and \
             without credentials; write for example http://127.0.0.1:4040",
            "SONDE_AGENT_LISTEN: listen: \"here\" is not an IP address with a port; write for \
             example 127.0.0.1:4041",
            "agent.yaml:2:10: window: \"soon\" is not a time from 1s to 10m; write for example 10s",
        ]
    );
}

#[test]
fn a_file_that_is_no_yaml_is_refused_with_line_and_column() {
    let said = refused(&[], &[], Some("frequency: 97\n  window: 10s\n"));
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("agent.yaml:2:"), "{said:?}");
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let args = RunArgs { config: Some("/nonexistent/agent.yaml".into()), ..RunArgs::default() };
    let said = run_settings(&args, &|_| None).unwrap_err().to_string();
    assert!(said.starts_with("/nonexistent/agent.yaml: No such file"), "{said}");
}

#[test]
fn debuginfod_is_asked_only_when_it_is_configured_here() {
    let variables = [("DEBUGINFOD_URLS", "https://a.example ima:enforcing https://b.example/x")];
    let urls = |line: &[&str]| resolve(line, &variables, None).unwrap().settings.debuginfod.urls;
    assert_eq!(urls(&[]), [] as [&str; 0]);
    assert_eq!(urls(&["--debuginfod-urls", "env"]), ["https://a.example", "https://b.example/x"]);
    assert_eq!(urls(&["--debuginfod-urls", "http://c http://d"]), ["http://c", "http://d"]);
    let without = resolve(&["--debuginfod-urls", "env"], &[], None).unwrap();
    assert_eq!(without.settings.debuginfod.settings(), None);
    let said = refused(&["--debuginfod-urls", "http://c d"], &[], None);
    assert!(said[0].contains("with blanks between them"), "{said:?}");
}

#[test]
fn the_cache_of_debug_files_has_a_place_and_a_size() {
    let file =
        Some("debuginfod_urls: http://c\ndebuginfod_cache: /c\ndebuginfod_cache_bytes: 2GiB\n");
    let asked = resolve(&[], &[], file).unwrap().settings.debuginfod.settings().unwrap();
    assert_eq!((asked.cache.to_str(), asked.cache_bytes), (Some("/c"), 2 << 30));
    let said = refused(&[], &[], Some("debuginfod_cache: here\n"));
    assert!(said[0].contains("\"here\" is not an absolute path"), "{said:?}");
}

#[test]
fn labels_and_headers_come_as_mapping_or_as_list() {
    let file = Some("labels:\n  env: production\n  rack: 7\n");
    let variables = [("SONDE_AGENT_HEADERS", "X-A=1, X-B=2")];
    let Effective { settings, .. } = resolve(&[], &variables, file).unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(settings.labels, [pair("env", "production"), pair("rack", "7")]);
    assert_eq!(settings.headers[1].1.expose(), "2");
}

#[test]
fn label_names_that_no_server_takes_are_refused() {
    let said = refused(&[], &[("SONDE_AGENT_LABELS", "__name__=a,ok=b,7=c")], None);
    assert_eq!(said.len(), 2, "{said:?}");
}

#[test]
fn secrets_are_not_shown_neither_when_right_nor_when_wrong() {
    let file = Some("bearer_token: hunter2\nheaders: {X-Key: hunter3}\n");
    let right = resolve(&[], &[], file).unwrap();
    let wrong = refused(&[], &[("SONDE_AGENT_BASIC_AUTH", "hunter4")], None).concat();
    let shown = format!("{right} {right:?} {wrong}");
    assert!(!shown.contains("hunter") && shown.contains("***"), "{shown}");
    assert_eq!(right.settings.credentials, Some(Credentials::Bearer("hunter2".to_owned().into())));
}

#[test]
fn only_one_way_to_authenticate_is_taken() {
    let file = Some("bearer_token: a\nbasic_auth: b:c\n");
    let said = refused(&[], &[], file);
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("agent.yaml:2:13: more than one way"), "{said:?}");
}

#[test]
fn a_token_can_be_kept_in_its_own_file() {
    let mut token = NamedTempFile::new().unwrap();
    token.write_all(b"hunter2\n").unwrap();
    let path = token.path().to_str().unwrap();
    let settings = resolve(&[], &[("SONDE_AGENT_BEARER_TOKEN_FILE", path)], None).unwrap().settings;
    assert_eq!(settings.credentials, Some(Credentials::Bearer("hunter2".to_owned().into())));
    let said = refused(&[], &[("SONDE_AGENT_BEARER_TOKEN_FILE", "/nonexistent")], None);
    assert!(said[0].contains("No such file"), "{said:?}");
}

#[test]
fn the_example_file_says_the_defaults_for_every_key() {
    let example = include_str!("../../../deploy/systemd/sonde-agent.yaml");
    resolve(&[], &[], Some(example)).unwrap();
    for key in KEYS {
        let told = example
            .lines()
            .any(|line| line.trim_start_matches(['#', '=', ' ']).starts_with(&format!("{key}:")));
        assert!(told, "{key} is missing from the example");
    }
    let shown: String = example
        .lines()
        .filter_map(|line| line.strip_prefix("#= "))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(resolve(&[], &[], Some(&shown)).unwrap().settings, Settings::default());
}

#[test]
fn opentelemetry_s_own_variables_say_where_spans_go_behind_ours() {
    let target = |flags: &[&str], variables: &[(&str, &str)]| {
        let settings = resolve(flags, variables, None).unwrap().settings;
        settings.otlp.settings(&settings.push())
    };
    let collector = target(&["--collector", "http://c:1/x"], &[]).unwrap();
    assert_eq!(
        (&*collector.traces, &*collector.metrics),
        ("http://c:1/x/v1/traces", "http://c:1/x/v1/metrics")
    );
    let theirs = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://o:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b, c=d"),
        ("SONDE_AGENT_BEARER_TOKEN", "hunter2"),
    ];
    let their = target(&[], &theirs).unwrap();
    assert_eq!((&*their.traces, their.protocol), ("http://o:4317", Protocol::Grpc));
    // The collector's token is for the collector.
    let names: Vec<&str> = their.headers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["a", "c"]);
    let ours = target(&["--otlp", "grpc://p:1"], &theirs[..2]).unwrap();
    assert_eq!((&*ours.traces, ours.protocol), ("http://p:1", Protocol::Grpc));
    assert_eq!(target(&["--otlp", "off"], &theirs), None);
    let said = refused(&["--otlp", "ftp://x", "--trace-ratio", "2"], &[], None);
    assert!(said.len() == 2 && said[0].contains("grpc://127.0.0.1:4317"), "{said:?}");
    let said = refused(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "here")], None);
    assert!(said[0].starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: otlp:"), "{said:?}");
}
