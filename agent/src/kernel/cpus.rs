//! Which CPUs are there to be watched.

use std::{fs, io};

/// Numbers of the CPUs that run now.
pub(super) fn online() -> io::Result<Vec<u32>> {
    read("/sys/devices/system/cpu/online")
}

/// One more than the highest number that a CPU of this machine can have.
pub(super) fn possible() -> io::Result<u32> {
    let numbers = read("/sys/devices/system/cpu/possible")?;
    Ok(numbers.into_iter().max().map_or(1, |highest| highest.saturating_add(1)))
}

fn read(path: &str) -> io::Result<Vec<u32>> {
    let text = fs::read_to_string(path)?;
    parse(text.trim()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{path} holds {text:?}, not a CPU list"))
    })
}

/// `0-3,6` to `0 1 2 3 6`.
fn parse(list: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn ranges_and_single_cpus_mix() {
        assert_eq!(parse("0-3,6"), Some(vec![0, 1, 2, 3, 6]));
        assert_eq!(parse("0"), Some(vec![0]));
        assert_eq!(parse("0-x"), None);
    }
}
