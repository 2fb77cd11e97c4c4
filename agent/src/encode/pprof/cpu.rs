//! CPU profiles: one sample type, `cpu` in nanoseconds, each stack weighing count times period.

use super::builder::{Builder, clamp};
use super::{Timing, gzip, proto};
use crate::aggregate::{ServiceProfile, StackCount};

/// One service's profile. Its labels belong to the series and are not repeated in the samples.
#[must_use]
pub fn service(service: &ServiceProfile, timing: Timing) -> Vec<u8> {
    let mut builder = Builder::new();
    add_stacks(&mut builder, service, timing, &[]);
    gzip(&finish(builder, timing))
}

/// Several services in one profile, told apart by sample labels: `service` is the service's name,
/// the other labels of its series keep their names.
#[must_use]
pub fn merged(services: &[ServiceProfile], timing: Timing) -> Vec<u8> {
    gzip(&merged_profile(services, timing))
}

pub(super) fn merged_profile(services: &[ServiceProfile], timing: Timing) -> proto::Profile {
    let mut builder = Builder::new();
    for service in services {
        let labels: Vec<_> = service
            .labels
            .iter()
            .map(|(name, value)| builder.text_label(sample_label(name), value))
            .collect();
        add_stacks(&mut builder, service, timing, &labels);
    }
    finish(builder, timing)
}

fn sample_label(series_label: &str) -> &str {
    if series_label == "service_name" { "service" } else { series_label }
}

fn add_stacks<'a>(
    builder: &mut Builder<'a>,
    service: &'a ServiceProfile,
    timing: Timing,
    common: &[proto::Label],
) {
    for stack in &service.stacks {
        let locations = stack.frames.iter().map(|frame| builder.location(frame)).collect();
        let value = clamp(stack.count.saturating_mul(timing.period_ns));
        let labels = labels(builder, stack, common);
        builder.sample(locations, vec![value], labels);
    }
}

fn labels(
    builder: &mut Builder<'_>,
    stack: &StackCount,
    common: &[proto::Label],
) -> Vec<proto::Label> {
    let mut labels = common.to_vec();
    if let Some(pid) = stack.pid {
        labels.push(builder.number_label("pid", pid));
    }
    if !stack.thread.is_empty() {
        labels.push(builder.text_label("thread", &stack.thread));
    }
    labels
}

fn finish(mut builder: Builder<'_>, timing: Timing) -> proto::Profile {
    let cpu = builder.value_type("cpu", "nanoseconds");
    builder.finish(proto::Profile {
        sample_type: vec![cpu],
        time_nanos: clamp(timing.start_unix_ns),
        duration_nanos: clamp(timing.duration_ns),
        period_type: Some(cpu),
        period: clamp(timing.period_ns),
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::pprof::testing::*;
    use crate::symbol::UnknownReason;

    #[test]
    fn a_stack_weighs_its_count_times_the_period() {
        let profile = decoded(&service(&service_of("a", vec![stack(&[known("main")], 3)]), TIMING));
        assert_eq!(profile.sample[0].value, [3 * 10_309_278]);
        assert_eq!(profile.period, 10_309_278);
        assert_eq!(text(&profile, profile.sample_type[0].r#type), "cpu");
        assert_eq!(text(&profile, profile.sample_type[0].unit), "nanoseconds");
    }

    #[test]
    fn frames_stay_leaf_first_and_inlined_lines_innermost_first() {
        let inlined = at(Some(binary("/bin/app")), 0x10, &["inner", "outer"]);
        let profile =
            decoded(&service(&service_of("a", vec![stack(&[inlined, known("main")], 1)]), TIMING));
        assert_eq!(names(&profile, &profile.sample[0]), [vec!["inner", "outer"], vec!["main"]]);
    }

    #[test]
    fn equal_locations_functions_and_binaries_are_written_once() {
        let stacks = vec![stack(&[known("f")], 1), stack(&[known("f")], 2)];
        let profile = decoded(&service(&service_of("a", stacks), TIMING));
        assert_eq!((profile.location.len(), profile.function.len()), (1, 1));
        assert_eq!(profile.mapping.len(), 1);
        assert_eq!(profile.string_table.iter().filter(|text| *text == "f").count(), 1);
        assert_eq!(profile.string_table[0], "");
    }

    #[test]
    fn one_address_under_two_names_is_two_locations() {
        let file = binary("/bin/app");
        let stacks = vec![
            stack(&[at(Some(file.clone()), 7, &["one"])], 1),
            stack(&[at(Some(file), 7, &["two"])], 1),
        ];
        assert_eq!(decoded(&service(&service_of("a", stacks), TIMING)).location.len(), 2);
    }

    #[test]
    fn a_mapping_covers_its_highest_address_and_says_what_is_known_in_it() {
        let named = at(Some(binary("/bin/app")), 0x4000, &["f"]);
        let bare = unknown(Some(binary("/bin/bare")), u64::MAX, UnknownReason::Stripped);
        let profile = decoded(&service(&service_of("a", vec![stack(&[named, bare], 1)]), TIMING));
        let [app, bare] = &profile.mapping[..] else { panic!("{:?}", profile.mapping) };
        assert_eq!((app.memory_start, app.memory_limit), (0, 0x4001));
        assert!(app.has_functions && app.has_filenames && app.has_line_numbers);
        assert!(!app.has_inline_frames);
        assert_eq!(bare.memory_limit, u64::MAX);
        assert!(!bare.has_functions && !bare.has_filenames);
        assert_eq!(text(&profile, bare.build_id), "c0ffee");
    }

    #[test]
    fn an_unknown_frame_is_a_function_that_says_why() {
        let bare = unknown(Some(binary("/usr/sbin/nginx")), 9, UnknownReason::Stripped);
        let profile = decoded(&service(&service_of("a", vec![stack(&[bare], 1)]), TIMING));
        assert_eq!(names(&profile, &profile.sample[0]), [vec!["[stripped: nginx]"]]);
        assert_eq!(profile.location[0].address, 9);
    }

    #[test]
    fn samples_carry_process_and_thread() {
        let profile = decoded(&service(&service_of("a", vec![stack(&[known("f")], 1)]), TIMING));
        assert_eq!(labels_of(&profile, 0), ["pid=42", "thread=worker"]);
    }

    #[test]
    fn a_process_that_is_not_worth_a_label_has_none() {
        let anonymous = StackCount { pid: None, ..stack(&[known("f")], 1) };
        let profile = decoded(&service(&service_of("a", vec![anonymous]), TIMING));
        assert_eq!(labels_of(&profile, 0), ["thread=worker"]);
    }

    #[test]
    fn a_merged_profile_tells_services_apart_by_label() {
        let services = [
            service_of("web", vec![stack(&[known("f")], 1)]),
            service_of("db", vec![stack(&[known("f")], 1)]),
        ];
        let profile = merged_profile(&services, TIMING);
        assert_eq!(labels_of(&profile, 0), ["host=h1", "service=web", "pid=42", "thread=worker"]);
        assert_eq!(labels_of(&profile, 1), ["host=h1", "service=db", "pid=42", "thread=worker"]);
        assert_eq!(profile.location.len(), 1, "services share their tables");
    }

    #[test]
    fn equal_profiles_give_equal_bytes() {
        let build = || service(&service_of("a", vec![stack(&[known("f"), known("g")], 5)]), TIMING);
        assert_eq!(build(), build());
    }

    #[test]
    fn a_count_beyond_the_format_is_the_largest_value() {
        let profile =
            decoded(&service(&service_of("a", vec![stack(&[known("f")], u64::MAX)]), TIMING));
        assert_eq!(profile.sample[0].value, [i64::MAX]);
    }
}
