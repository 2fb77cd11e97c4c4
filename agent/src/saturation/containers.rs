//! The containers' readings, from the folders of their cgroups, of either version.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Point, Reading, ReadingUnit, text};
use crate::process::CgroupPath;

/// Containers that are told of; how many others there are is told.
const MAX_CONTAINERS: usize = 1000;
/// Folders that are looked into, and how deep.
const MAX_FOLDERS: usize = 10_000;
const MAX_DEPTH: usize = 12;

/// A container's folders: of CPU time and of memory, which version 1 keeps apart.
struct Container {
    id: String,
    cpu: PathBuf,
    memory: PathBuf,
}

pub(super) fn read(root: &Path) -> Vec<Reading> {
    let is_unified = root.join("cgroup.controllers").exists();
    let cpu_root = if is_unified { root.to_owned() } else { root.join("cpuacct") };
    let memory_root = if is_unified { root.to_owned() } else { root.join("memory") };
    let mut walk = Walk { found: Vec::new(), folders: 0 };
    walk.look(&cpu_root, 0);
    let found = walk.found.iter().filter_map(|(id, cpu)| {
        let memory = memory_root.join(cpu.strip_prefix(&cpu_root).ok()?);
        Some(Container { id: id.clone(), cpu: cpu.clone(), memory })
    });
    let all: Vec<Container> = found.collect();
    let (told, left_out) = all.split_at(all.len().min(MAX_CONTAINERS));
    readings(told, left_out.len())
}

struct Walk {
    found: Vec<(String, PathBuf)>,
    folders: usize,
}

impl Walk {
    /// Containers at or below a folder. What is below a container is its own.
    fn look(&mut self, folder: &Path, depth: usize) {
        self.folders += 1;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if let Some(id) = CgroupPath(name.as_ref().into()).container_id() {
            return self.found.push((id.to_owned(), folder.to_owned()));
        }
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if depth >= MAX_DEPTH || self.folders >= MAX_FOLDERS {
                return;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.look(&entry.path(), depth + 1);
            }
        }
    }
}

fn readings(containers: &[Container], left_out: usize) -> Vec<Reading> {
    let points = |value: fn(&Container) -> Option<f64>| -> Vec<Point> {
        let told = containers.iter().filter_map(|container| {
            Some(Point::new([("container_id", &container.id)], value(container)?))
        });
        told.collect()
    };
    let reading =
        |name, help, unit, is_counter, points| Reading { name, help, unit, is_counter, points };
    let mut pressures = Vec::new();
    for Container { id, cpu, .. } in containers {
        for resource in ["cpu", "memory", "io"] {
            let file = cpu.join(format!("{resource}.pressure"));
            for (stalled, seconds) in text::pressures(&text::read(&file).unwrap_or_default()) {
                let labels =
                    [("container_id", &**id), ("resource", resource), ("stalled", stalled)];
                pressures.push(Point::new(labels, seconds));
            }
        }
    }
    let left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
    use ReadingUnit::{Bytes, Count, Seconds};
    vec![
        reading("container_cpu_time", "CPU time of containers", Seconds, true, points(cpu_time)),
        reading("container_memory_usage", "Memory of containers", Bytes, false, points(memory)),
        reading(
            "container_linux_cpu_throttled",
            "Time that containers which could run were held back by their CPU limit",
            Seconds,
            true,
            points(throttled),
        ),
        reading(
            "container_linux_pressure_time",
            "Time in which some or all tasks of a container were stalled for want of a resource",
            Seconds,
            true,
            pressures,
        ),
        reading(
            "sonde_agent_containers_left_out",
            "Containers beyond those whose saturation is told",
            Count,
            false,
            vec![Point::new([], left_out.into())],
        ),
    ]
}

fn cpu_time(container: &Container) -> Option<f64> {
    let unified = || {
        let stat = text::read(&container.cpu.join("cpu.stat"))?;
        Some(text::number(&stat, "usage_usec")? / 1e6)
    };
    let older = || {
        let nanoseconds = text::read(&container.cpu.join("cpuacct.usage"))?;
        Some(text::parse(&nanoseconds)? / 1e9)
    };
    unified().or_else(older)
}

fn memory(container: &Container) -> Option<f64> {
    let read = |name| text::parse(&text::read(&container.memory.join(name))?);
    read("memory.current").or_else(|| read("memory.usage_in_bytes"))
}

fn throttled(container: &Container) -> Option<f64> {
    let stat = text::read(&container.cpu.join("cpu.stat"))?;
    let unified = text::number(&stat, "throttled_usec").map(|time| time / 1e6);
    unified.or_else(|| Some(text::number(&stat, "throttled_time")? / 1e9))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn write(root: &TempDir, file: &str, text: &str) {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn values(root: &TempDir, name: &str) -> Vec<(Vec<String>, f64)> {
        let readings = read(root.path());
        let reading = readings.iter().find(|reading| reading.name == name).expect("there");
        let told = reading.points.iter().map(|point| {
            let labels = point.labels.iter().filter(|(name, _)| *name != "container_id");
            (labels.map(|(_, text)| text.clone()).collect(), point.value)
        });
        told.collect()
    }

    #[test]
    fn a_container_of_the_unified_hierarchy_is_read_once_with_what_is_below_it() {
        let root = TempDir::new().expect("a folder");
        write(&root, "cgroup.controllers", "cpu memory\n");
        let at = format!("system.slice/docker-{ID}.scope");
        let stat = "usage_usec 2500000\nuser_usec 1\nthrottled_usec 500000\n";
        write(&root, &format!("{at}/cpu.stat"), stat);
        write(&root, &format!("{at}/memory.current"), "4096\n");
        write(&root, &format!("{at}/memory.pressure"), "some avg10=0 total=7000000\n");
        write(&root, &format!("{at}/init.scope/cpu.stat"), stat);
        assert_eq!(values(&root, "container_cpu_time"), [(vec![], 2.5)]);
        assert_eq!(values(&root, "container_memory_usage"), [(vec![], 4096.0)]);
        assert_eq!(values(&root, "container_linux_cpu_throttled"), [(vec![], 0.5)]);
        let stalled = vec!["memory".to_owned(), "some".to_owned()];
        assert_eq!(values(&root, "container_linux_pressure_time"), [(stalled, 7.0)]);
        assert_eq!(values(&root, "sonde_agent_containers_left_out"), [(vec![], 0.0)]);
    }

    #[test]
    fn version_one_keeps_time_and_memory_apart() {
        let root = TempDir::new().expect("a folder");
        write(&root, &format!("cpuacct/docker/{ID}/cpuacct.usage"), "1500000000\n");
        write(&root, &format!("memory/docker/{ID}/memory.usage_in_bytes"), "8192\n");
        assert_eq!(values(&root, "container_cpu_time"), [(vec![], 1.5)]);
        assert_eq!(values(&root, "container_memory_usage"), [(vec![], 8192.0)]);
    }

    #[test]
    fn too_many_containers_are_counted_and_nonsense_is_no_value() {
        let root = TempDir::new().expect("a folder");
        write(&root, "cgroup.controllers", "");
        for number in 0..MAX_CONTAINERS + 2 {
            let file = format!("pods/{number:064x}/memory.current");
            write(&root, &file, if number == 0 { "-1\n" } else { "1\n" });
        }
        let told = values(&root, "container_memory_usage").len();
        assert!((MAX_CONTAINERS - 1..=MAX_CONTAINERS).contains(&told), "{told}");
        assert_eq!(values(&root, "sonde_agent_containers_left_out"), [(vec![], 2.0)]);
    }
}
