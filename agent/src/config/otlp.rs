//! Where spans and metrics of requests go, and how many spans are kept.

use std::time::Duration;

use super::kind::{COUNT, OTLP, RATIO, SLOW};
use super::layers::Source;
use super::parse;
use super::resolve::Resolver;
use super::run::Origin;
use super::{Secret, show};
use crate::export::otlp::{Histograms, OtlpSettings, Protocol};
use crate::export::push::PushSettings;
use crate::requests::SamplingSettings;

/// What is said about OTLP.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpConfig {
    /// Where to; `None` takes the collector.
    pub target: Option<Target>,
    /// Headers that OpenTelemetry's own variables ask for.
    pub headers: Vec<(String, Secret)>,
    /// Which kind of histogram.
    pub histograms: Histograms,
    /// How many spans are kept.
    pub sampling: SamplingSettings,
}

/// Where spans and metrics go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nowhere.
    Off,
    /// There.
    To {
        /// Base of the address, `http` or `https`.
        url: String,
        /// How.
        protocol: Protocol,
    },
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            target: None,
            headers: Vec::new(),
            histograms: Histograms::Explicit,
            sampling: SamplingSettings::default(),
        }
    }
}

impl OtlpConfig {
    /// What sending needs; `None` if nothing is to be sent. The collector is spoken to as pushes are;
    /// nobody else gets what was meant for it.
    #[must_use]
    pub fn settings(&self, push: &PushSettings) -> Option<OtlpSettings> {
        let mut settings = match &self.target {
            Some(Target::Off) => return None,
            Some(Target::To { url, protocol }) => {
                let headers = self.headers.clone();
                OtlpSettings { headers, ..OtlpSettings::new(url, *protocol) }
            }
            None => {
                let headers = push.all_headers();
                OtlpSettings { headers, ..OtlpSettings::new(&push.url, Protocol::Http) }
            }
        };
        settings.histograms = self.histograms;
        Some(settings)
    }
}

const KEY: &str = "otlp";
/// OpenTelemetry's own variables, which stand behind our settings.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const HISTOGRAMS: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";

impl Resolver<'_> {
    pub(super) fn otlp(&mut self) -> OtlpConfig {
        let default = OtlpConfig::default();
        OtlpConfig {
            target: self.otlp_target(),
            headers: self.otlp_headers(),
            histograms: self.histograms(),
            sampling: SamplingSettings {
                ratio: self.value("trace_ratio", &RATIO, default.sampling.ratio),
                spans_per_second: self.value(
                    "spans_per_second",
                    &COUNT,
                    default.sampling.spans_per_second,
                ),
                slow_ns: self
                    .value("slow", &SLOW, Duration::from_nanos(default.sampling.slow_ns))
                    .as_nanos()
                    .try_into()
                    .unwrap_or(u64::MAX),
            },
        }
    }

    fn otlp_target(&mut self) -> Option<Target> {
        if self.source_of(KEY).is_some() {
            return self.optional(KEY, &OTLP);
        }
        let Some(endpoint) = self.variable(ENDPOINT) else {
            let value = "the collector".to_owned();
            self.origins.push(Origin { key: KEY, value, source: Source::Default });
            return None;
        };
        let source = Source::Variable(ENDPOINT.into());
        let protocol = match self.variable(PROTOCOL).as_deref() {
            Some("grpc") => Protocol::Grpc,
            None | Some("http/protobuf") => Protocol::Http,
            Some(other) => {
                let what = format!("{other:?} is not grpc or http/protobuf");
                let source = Source::Variable(PROTOCOL.into());
                self.wrong(source, KEY, what, "write for example grpc");
                return None;
            }
        };
        let Some(url) = parse::url(&endpoint) else {
            let what = format!("{endpoint:?} is not an http or https address");
            self.wrong(source, KEY, what, "write for example http://127.0.0.1:4318");
            return None;
        };
        let target = Target::To { url, protocol };
        self.origins.push(Origin { key: KEY, value: show::target(&target), source });
        Some(target)
    }

    /// Only for an endpoint that is named beside them, or by us.
    fn otlp_headers(&mut self) -> Vec<(String, Secret)> {
        let Some(text) = self.variable(HEADERS) else { return Vec::new() };
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim().to_owned(), Secret::from(value.trim().to_owned())))
        });
        pairs.collect::<Option<_>>().unwrap_or_else(|| {
            let source = Source::Variable(HEADERS.into());
            let what = "this is no list of names with values".to_owned();
            self.wrong(source, KEY, what, "write for example name=value,other=value");
            Vec::new()
        })
    }

    fn histograms(&mut self) -> Histograms {
        match self.variable(HISTOGRAMS).as_deref() {
            None | Some("explicit_bucket_histogram") => Histograms::Explicit,
            Some("base2_exponential_bucket_histogram") => Histograms::Exponential,
            Some(other) => {
                let what = format!("{other:?} is no kind of histogram");
                let remedy = "write base2_exponential_bucket_histogram or nothing";
                self.wrong(Source::Variable(HISTOGRAMS.into()), KEY, what, remedy);
                Histograms::Explicit
            }
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.layers.environment)(name).filter(|text| !text.is_empty())
    }
}
