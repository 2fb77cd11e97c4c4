//! Readings as metrics, read when they are asked for.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::{Places, Point, Reading, ReadingUnit};

/// Who asks more often gets the same: a walk through thousands of cgroups takes milliseconds.
const FRESH: Duration = Duration::from_secs(5);

/// What was read last, and when.
#[derive(Debug, Default)]
pub struct SaturationCollector {
    places: Places,
    last: Mutex<Option<(Instant, Vec<Reading>)>>,
}

impl SaturationCollector {
    /// Of these places.
    #[must_use]
    pub fn new(places: Places) -> Self {
        Self { places, last: Mutex::default() }
    }

    fn readings(&self) -> Vec<Reading> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((read, readings)) if read.elapsed() < FRESH => readings.clone(),
            _ => last.insert((Instant::now(), self.places.read())).1.clone(),
        }
    }
}

impl Collector for SaturationCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Reading { name, help, unit, is_counter, points } in &self.readings() {
            let unit = match unit {
                ReadingUnit::Seconds => Some(&Unit::Seconds),
                ReadingUnit::Bytes => Some(&Unit::Bytes),
                ReadingUnit::Count => None,
            };
            let kind = if *is_counter { MetricType::Counter } else { MetricType::Gauge };
            let mut metric = encoder.encode_descriptor(name, help, unit, kind)?;
            if let [Point { labels, value }] = &points[..]
                && labels.is_empty()
            {
                write(metric, *is_counter, *value)?;
                continue;
            }
            for Point { labels, value } in points {
                write(metric.encode_family(labels)?, *is_counter, *value)?;
            }
        }
        Ok(())
    }
}

fn write(series: MetricEncoder<'_>, is_counter: bool, value: f64) -> Result<(), fmt::Error> {
    if is_counter {
        ConstCounter::new(value).encode(series)
    } else {
        ConstGauge::new(value).encode(series)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn what_is_there_is_told_and_what_is_not_there_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name, text| std::fs::write(folder.path().join(name), text).expect("written");
        write("stat", "cpu 250 0 0 0 0 0 0 0\n");
        write("schedstat", "cpu0 0 0 0 0 0 0 0 5000000000 0\n");
        let places =
            Places { proc_root: folder.path().into(), cgroup_root: folder.path().join("none") };
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register_collector(Box::new(SaturationCollector::new(places)));
        encode(&mut text, &registry).expect("written");
        assert!(
            text.contains("\nsystem_cpu_time_seconds_total{cpu_mode=\"user\"} 2.5\n"),
            "{text}"
        );
        assert!(text.contains("\nsystem_linux_cpu_delay_seconds_total 5.0\n"), "{text}");
        assert!(!text.contains("memory") && !text.contains("tcp"), "{text}");
    }
}
