//! The host's readings, from `/proc`.

use std::path::Path;

use super::{Point, Reading, ReadingUnit, text};

/// Ticks a second in `/proc/stat`: `USER_HZ`, which is part of the kernel's interface.
const TICKS: f64 = 100.0;
/// Modes of the CPU in the order of `/proc/stat`. Those of guests are in the first two already.
const MODES: [&str; 8] =
    ["user", "nice", "system", "idle", "iowait", "interrupt", "interrupt", "steal"];

pub(super) fn read(proc_root: &Path) -> Vec<Reading> {
    let file = |name: &str| text::read(&proc_root.join(name)).unwrap_or_default();
    let mut readings = vec![cpu_time(&file("stat"))];
    readings.extend(memory(&file("meminfo")));
    readings.push(pressure(&|resource| file(&format!("pressure/{resource}"))));
    readings.push(run_queue_delay(&file("schedstat")));
    readings.extend(tcp(&file("net/snmp")));
    readings
}

fn cpu_time(stat: &str) -> Reading {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Option<Vec<f64>> =
        line.split_whitespace().take(MODES.len()).map(text::parse).collect();
    let mut points: Vec<Point> = Vec::new();
    for (mode, ticks) in MODES.into_iter().zip(ticks.unwrap_or_default()) {
        let seconds = ticks / TICKS;
        match points.last_mut().filter(|last| last.labels[0].1 == mode) {
            Some(last) => last.value += seconds,
            None => points.push(Point::new([("cpu_mode", mode)], seconds)),
        }
    }
    Reading {
        name: "system_cpu_time",
        help: "Time of all CPUs, by what they did",
        unit: ReadingUnit::Seconds,
        is_counter: true,
        points,
    }
}

fn memory(meminfo: &str) -> [Reading; 3] {
    let bytes = |word| text::number(meminfo, word).map(|kib| kib * 1024.0);
    let (total, available) = (bytes("MemTotal:"), bytes("MemAvailable:"));
    let used = total.zip(available).map(|(total, available)| (total - available).max(0.0));
    let states = [
        ("used", used),
        ("free", bytes("MemFree:")),
        ("cached", bytes("Cached:")),
        ("buffers", bytes("Buffers:")),
    ];
    let states = states
        .into_iter()
        .filter_map(|(state, bytes)| Some(Point::new([("system_memory_state", state)], bytes?)));
    let alone = |bytes: Option<f64>| bytes.map(|bytes| Point::new([], bytes)).into_iter().collect();
    let reading = |name, help, points| Reading {
        name,
        help,
        unit: ReadingUnit::Bytes,
        is_counter: false,
        points,
    };
    [
        reading(
            "system_memory_usage",
            "Memory by its state; what is used can't be given back",
            states.collect(),
        ),
        reading("system_memory_limit", "Memory in all", alone(total)),
        reading("system_memory_linux_available", "Memory that programs can have", alone(available)),
    ]
}

fn pressure(file: &dyn Fn(&str) -> String) -> Reading {
    let mut points = Vec::new();
    for resource in ["cpu", "memory", "io"] {
        for (stalled, seconds) in text::pressures(&file(resource)) {
            points.push(Point::new([("resource", resource), ("stalled", stalled)], seconds));
        }
    }
    Reading {
        name: "system_linux_pressure_time",
        help: "Time in which some or all tasks were stalled for want of a resource",
        unit: ReadingUnit::Seconds,
        is_counter: true,
        points,
    }
}

/// `cpu0` and nine numbers, of which the eighth is nanoseconds that tasks waited to run; not every
/// kernel counts them.
fn run_queue_delay(schedstat: &str) -> Reading {
    let cpus = schedstat.lines().filter(|line| line.starts_with("cpu"));
    let delays = cpus.filter_map(|line| text::parse(line.split_whitespace().nth(8)?));
    let delays: Vec<f64> = delays.collect();
    let seconds = delays.iter().sum::<f64>() / 1e9;
    Reading {
        name: "system_linux_cpu_delay",
        help: "Time that tasks which could run waited for a CPU",
        unit: ReadingUnit::Seconds,
        is_counter: true,
        points: (!delays.is_empty()).then(|| Point::new([], seconds)).into_iter().collect(),
    }
}

/// A line of names, and a line of values, both behind `Tcp:`.
fn tcp(snmp: &str) -> [Reading; 2] {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let value = |wanted: &str| {
        let at = names.split_whitespace().position(|name| name == wanted)?;
        text::parse(values.split_whitespace().nth(at)?)
    };
    let reading = |name, help, wanted| Reading {
        name,
        help,
        unit: ReadingUnit::Count,
        is_counter: true,
        points: value(wanted).map(|value| Point::new([], value)).into_iter().collect(),
    };
    [
        reading(
            "system_network_tcp_retransmits",
            "TCP segments that were sent again",
            "RetransSegs",
        ),
        reading(
            "system_network_tcp_failed_connects",
            "TCP connections that were not established, at either end",
            "AttemptFails",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(reading: &Reading) -> Vec<(String, f64)> {
        let told = reading.points.iter().map(|point| {
            let labels: Vec<&str> = point.labels.iter().map(|(_, text)| text.as_str()).collect();
            (labels.join(" "), point.value)
        });
        told.collect()
    }

    #[test]
    fn both_kinds_of_interrupts_are_one_mode_and_guests_do_not_count_twice() {
        let told =
            cpu_time("cpu  100 200 300 400 500 60 70 80 900 1000\ncpu0 1 1 1 1 1 1 1 1 1 1\n");
        let expected = [1.0, 2.0, 3.0, 4.0, 5.0, 1.3, 0.8];
        let modes = ["user", "nice", "system", "idle", "iowait", "interrupt", "steal"];
        let told = values(&told);
        assert_eq!(told.len(), modes.len());
        for ((mode, seconds), (label, value)) in modes.iter().zip(expected).zip(told) {
            assert!(label == *mode && (value - seconds).abs() < 1e-9, "{label} {value}");
        }
    }

    #[test]
    fn used_memory_is_what_programs_can_not_have() {
        let text = "MemTotal:    100 kB\nMemFree:   10 kB\nMemAvailable:   60 kB\nBuffers: 1 kB\n\
                    Cached:   40 kB\nSwapCached:   7 kB\n";
        let [usage, limit, available] = memory(text);
        let kib = |label: &str, kib: f64| (label.to_owned(), kib * 1024.0);
        let expected =
            [kib("used", 40.0), kib("free", 10.0), kib("cached", 40.0), kib("buffers", 1.0)];
        assert_eq!(values(&usage), expected);
        assert_eq!(
            (values(&limit), values(&available)),
            (vec![kib("", 100.0)], vec![kib("", 60.0)])
        );
    }

    #[test]
    fn pressures_are_totals_and_those_that_are_missing_are_left_out() {
        let told = pressure(&|resource| match resource {
            "cpu" => "some avg10=79.72 avg60=1.00 avg300=1.00 total=2500000\n".into(),
            "io" => "some avg10=0.00 total=1000000\nfull avg10=0.00 total=x\n".into(),
            _ => String::new(),
        });
        assert_eq!(values(&told), [("cpu some".to_owned(), 2.5), ("io some".to_owned(), 1.0)]);
    }

    #[test]
    fn the_run_queue_s_delay_is_the_eighth_number_of_every_cpu() {
        let text = "version 17\ntimestamp 1\ncpu0 1 0 3 4 5 6 70 1500000000 9\ndomain0 1 2 3\n\
                    cpu1 1 0 3 4 5 6 70 500000000 9\n";
        assert_eq!(values(&run_queue_delay(text)), [(String::new(), 2.0)]);
        assert_eq!(values(&run_queue_delay("")), []);
    }

    #[test]
    fn tcp_s_values_are_found_by_their_names() {
        let text = "Ip: Forwarding RetransSegs\nIp: 1 2\nTcp: MaxConn AttemptFails RetransSegs\n\
                    Tcp: -1 7 9\n";
        let [retransmits, failed] = tcp(text);
        assert_eq!(values(&retransmits), [(String::new(), 9.0)]);
        assert_eq!(values(&failed), [(String::new(), 7.0)]);
        assert_eq!(values(&tcp("Tcp: RetransSegs\nTcp:\n")[0]), []);
    }
}
