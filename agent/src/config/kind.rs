//! How each kind of setting is read, shown, and asked for when it is wrong.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::otlp::Target;
use super::{Secret, parse, show};
use crate::syscalls::SyscallMode;

/// How a setting is read and shown.
pub(super) struct Kind<T> {
    pub(super) parse: fn(&str) -> Option<T>,
    pub(super) show: fn(&T) -> String,
    /// Completes "is not …".
    pub(super) expected: &'static str,
    pub(super) example: &'static str,
}

pub(super) const FREQUENCY: Kind<u32> = Kind {
    parse: parse::frequency,
    show: ToString::to_string,
    expected: "a whole number of samples per second from 1 to 1000",
    example: "97",
};
pub(super) const URL: Kind<String> = Kind {
    parse: parse::url,
    show: Clone::clone,
    expected: "an http or https address with a host and without credentials",
    example: "http://127.0.0.1:4040",
};
pub(super) const ADDRESS: Kind<SocketAddr> = Kind {
    parse: |text| text.parse().ok(),
    show: ToString::to_string,
    expected: "an IP address with a port",
    example: "127.0.0.1:4041",
};
pub(super) const WINDOW: Kind<Duration> = Kind {
    parse: parse::window,
    show: show::duration,
    expected: "a time from 1s to 10m",
    example: "10s",
};
pub(super) const LOG_LEVEL: Kind<String> = Kind {
    parse: parse::log_level,
    show: Clone::clone,
    expected: "error, warn, info, debug, trace or filter directives",
    example: "info",
};
pub(super) const LINE: Kind<String> =
    Kind { parse: parse::line, show: Clone::clone, expected: "one line of text", example: "web-1" };
pub(super) const FOLDER: Kind<PathBuf> = Kind {
    parse: parse::folder,
    show: |path| path.display().to_string(),
    expected: "an absolute path",
    example: "/var/cache/sonde-agent/debuginfod",
};
pub(super) const URLS: Kind<Vec<String>> = Kind {
    parse: parse::urls,
    show: |urls| urls.join(" "),
    expected: "http or https addresses with blanks between them, or `env`",
    example: "https://debuginfod.example.org",
};
pub(super) const SECRET: Kind<Secret> = Kind {
    parse: |text| parse::line(text).map(Secret::from),
    show: ToString::to_string,
    expected: "one line of text",
    example: "bearer_token_file with a path",
};
pub(super) const TABLE_BYTES: Kind<usize> = Kind {
    parse: parse::table_bytes,
    show: show::bytes,
    expected: "a size from 1MiB to 1GiB",
    example: "16MiB",
};
pub(super) const SWITCH: Kind<bool> = Kind {
    parse: |text| match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    },
    show: |on| if *on { "on" } else { "off" }.into(),
    expected: "on or off",
    example: "on",
};
pub(super) const OTLP: Kind<Target> = Kind {
    parse: parse::target,
    show: show::target,
    expected: "off, an http or https address, or a grpc or grpcs one",
    example: "grpc://127.0.0.1:4317",
};
pub(super) const RATIO: Kind<f64> = Kind {
    parse: |text| text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)),
    show: ToString::to_string,
    expected: "a share from 0 to 1",
    example: "0.1",
};
pub(super) const COUNT: Kind<u32> = Kind {
    parse: |text| text.parse().ok().filter(|count| (1..=100_000).contains(count)),
    show: ToString::to_string,
    expected: "a whole number from 1 to 100000",
    example: "200",
};
pub(super) const SLOW: Kind<Duration> = Kind {
    parse: parse::recording,
    show: show::duration,
    expected: "a time up to a day",
    example: "500ms",
};
pub(super) const SYSCALLS: Kind<SyscallMode> = Kind {
    parse: |text| SyscallMode::ALL.into_iter().find(|mode| mode.word() == text),
    show: |mode| mode.word().into(),
    expected: "off, waits, sampled or always",
    example: "waits",
};
pub(super) const BYTES: Kind<usize> = Kind {
    parse: parse::bytes,
    show: show::bytes,
    expected: "a size of at least 1MiB",
    example: "32MiB",
};
