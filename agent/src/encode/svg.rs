//! A flame graph as one SVG file, drawn by inferno from folded stacks.

use inferno::flamegraph::{Options, from_lines};

use super::folded;
use crate::aggregate::{ProfileWindow, ServiceProfile};

/// What stands above the drawing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heading {
    /// What was recorded: the command, the processes, or the host.
    pub title: String,
    /// Whatever else the reader should know, after the figures of the recording; may be empty.
    pub note: String,
}

/// Why there is no drawing.
#[derive(Debug, thiserror::Error)]
pub enum SvgError {
    /// There is nothing to draw.
    #[error("no sample was taken in {seconds:.1} s")]
    NoSamples {
        /// Length of the recording in seconds.
        seconds: f64,
    },
    /// The drawing library gave up.
    #[error("draw the flame graph")]
    Draw(#[from] std::io::Error),
}

/// Draws all services of a window.
///
/// # Errors
/// [`SvgError::NoSamples`] when the window is empty, so that nobody takes an empty drawing for an idle
/// machine.
pub fn svg(window: &ProfileWindow, heading: &Heading) -> Result<Vec<u8>, SvgError> {
    let samples = samples(window);
    if samples == 0 {
        return Err(SvgError::NoSamples { seconds: seconds(window.duration_ns) });
    }
    let text = folded(&window.services);
    let mut drawing = Vec::new();
    from_lines(&mut options(window, heading, samples), text.lines(), &mut drawing)?;
    Ok(drawing)
}

fn options(window: &ProfileWindow, heading: &Heading, samples: u64) -> Options<'static> {
    let mut options = Options::default();
    options.title.clone_from(&heading.title);
    options.subtitle = Some(subtitle(window, heading, samples));
    options.count_name = "samples".to_owned();
    // Colours come from the names, so that the same function looks the same in two drawings.
    options.hash = true;
    options
}

fn subtitle(window: &ProfileWindow, heading: &Heading, samples: u64) -> String {
    let lost = window.trust.lost_samples();
    let mut parts = vec![format!("{:.1} s", seconds(window.duration_ns))];
    if window.period_ns > 0 {
        parts.push(format!("{:.0} Hz", 1.0 / seconds(window.period_ns)));
    }
    parts.push(format!("{samples} samples"));
    parts.push(format!("{lost} lost"));
    if !heading.note.is_empty() {
        parts.push(heading.note.clone());
    }
    parts.join(" · ")
}

fn samples(window: &ProfileWindow) -> u64 {
    window.services.iter().map(ServiceProfile::samples).sum()
}

fn seconds(nanoseconds: u64) -> f64 {
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use sonde_ebpf::DropReason;

    use super::*;
    use crate::aggregate::{StackCount, Trust};
    use crate::encode::pprof::testing::{TIMING, known, service_of, stack};

    fn window(stacks: Vec<StackCount>) -> ProfileWindow {
        let lost = vec![(DropReason::SampleRingFull, 2), (DropReason::ProcessRingFull, 9)];
        ProfileWindow {
            start_unix_ns: TIMING.start_unix_ns,
            duration_ns: TIMING.duration_ns,
            period_ns: TIMING.period_ns,
            services: vec![service_of("web", stacks)],
            sources: Vec::new(),
            trust: Trust { lost, ..Trust::default() },
        }
    }

    fn draw(name: &str) -> String {
        let heading = Heading { title: "nginx".into(), note: "kernel symbols hidden".into() };
        String::from_utf8(svg(&window(vec![stack(&[known(name)], 5)]), &heading).unwrap()).unwrap()
    }

    #[test]
    fn a_drawing_names_its_frames_and_says_how_it_was_taken() {
        let drawing = draw("render_page");
        assert!(drawing.contains("render_page (5 samples, 100.00%)"), "{drawing}");
        assert!(drawing.contains("10.0 s · 97 Hz · 5 samples · 2 lost · kernel symbols hidden"));
        assert!(drawing.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn names_are_escaped() {
        let drawing = draw("a<b>&\"c\"</svg>");
        assert!(drawing.contains("a&lt;b&gt;&amp;"), "{drawing}");
    }

    #[test]
    fn an_empty_window_is_an_error_and_not_an_empty_drawing() {
        let refused = svg(&window(Vec::new()), &Heading::default());
        assert_eq!(refused.unwrap_err().to_string(), "no sample was taken in 10.0 s");
    }
}
