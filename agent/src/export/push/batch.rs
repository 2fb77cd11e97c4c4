//! A closed window to the bodies of push requests.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::body::Bytes;
use prost::Message;
use sonde_ebpf::DropReason;

use super::proto::{LabelPair, PushRequest, RawProfileSeries, RawSample};
use crate::aggregate::ProfileWindow;
use crate::encode::pprof::{self, Timing};

/// Size at which a window is split: the smallest message limit among servers that take pushes.
const REQUEST_BYTES: usize = 4 << 20;

/// Who pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Name of this host, on the trust series; services carry theirs already.
    pub host: String,
    /// Labels for every series; what a series says itself stands.
    pub labels: Vec<(String, String)>,
}

/// One encoded request. It is encoded once, so an attempt that is repeated sends the same bytes and a
/// server can recognise them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub(super) body: Bytes,
    pub(super) profiles: u64,
    /// Samples in them.
    pub(super) samples: u64,
    /// Losses of which they tell.
    pub(super) lost: Vec<(DropReason, u64)>,
}

impl Request {
    /// Bytes of the body.
    #[must_use]
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    fn new(all: Vec<Series>) -> Self {
        let (profiles, samples) = (all.len() as u64, all.iter().map(|one| one.samples).sum());
        let series = all.into_iter().map(|one| one.raw).collect();
        let body = PushRequest { series }.encode_to_vec().into();
        Self { body, profiles, samples, lost: Vec::new() }
    }
}

/// One profile, encoded.
struct Series {
    raw: RawProfileSeries,
    samples: u64,
}

/// The window's profiles and its trust profile: one request, or several when it is large.
#[must_use]
pub fn requests(window: &ProfileWindow, identity: &Identity) -> Vec<Request> {
    let mut requests = split(all_series(window, identity), REQUEST_BYTES);
    // The trust profile comes last.
    if let Some(last) = requests.last_mut() {
        last.lost.clone_from(&window.trust.lost);
    }
    requests
}

fn all_series(window: &ProfileWindow, identity: &Identity) -> Vec<Series> {
    let timing = Timing::from(window);
    let sampled = window.services.iter().filter(|service| !service.stacks.is_empty());
    let mut all: Vec<_> = sampled
        .map(|service| {
            let own = service.labels.iter().map(|(name, value)| (&**name, &**value));
            let labels = labels("process_cpu", own, identity);
            series(labels, pprof::service(service, timing), service.samples())
        })
        .collect();
    let about_us = [
        ("service_name", "sonde-agent"),
        ("host", &*identity.host),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    let labels = labels("sonde_trust", about_us.into_iter(), identity);
    all.push(series(labels, pprof::trust(&window.trust, timing), 0));
    all
}

/// Sorted by name, each name once: the metric's name, then what the series says, then what is said of
/// every series. An empty value is the same as no label.
fn labels<'a>(
    metric: &'a str,
    own: impl Iterator<Item = (&'a str, &'a str)>,
    identity: &'a Identity,
) -> Vec<LabelPair> {
    let common = identity.labels.iter().map(|(name, value)| (&**name, &**value));
    let said = std::iter::once(("__name__", metric)).chain(own).chain(common);
    let mut labels: Vec<LabelPair> = Vec::new();
    for (name, value) in said.filter(|(_, value)| !value.is_empty()) {
        if labels.iter().all(|label| label.name != name) {
            labels.push(LabelPair { name: name.to_owned(), value: value.to_owned() });
        }
    }
    labels.sort_unstable();
    labels
}

fn series(labels: Vec<LabelPair>, raw_profile: Vec<u8>, samples: u64) -> Series {
    let id = uuid_of(&labels, &raw_profile);
    let raw = RawProfileSeries { labels, samples: vec![RawSample { raw_profile, id }] };
    Series { raw, samples }
}

/// A UUID (version 8: made by the application) that depends on the content alone.
fn uuid_of(labels: &[LabelPair], raw_profile: &[u8]) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        labels.iter().for_each(|label| (&label.name, &label.value).hash(&mut hasher));
        raw_profile.hash(&mut hasher);
        hasher.finish()
    };
    let (high, low) = (half(1), half(2));
    format!(
        "{:08x}-{:04x}-8{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff,
    )
}

/// Fills requests in order. A series larger than a request goes alone: servers say for themselves
/// whether that is too much.
fn split(all: Vec<Series>, limit: usize) -> Vec<Request> {
    let mut requests = Vec::new();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for series in all {
        let size = series.raw.encoded_len();
        if bytes + size > limit && !batch.is_empty() {
            requests.push(Request::new(std::mem::take(&mut batch)));
            bytes = 0;
        }
        bytes += size;
        batch.push(series);
    }
    if !batch.is_empty() {
        requests.push(Request::new(batch));
    }
    requests
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::aggregate::{ServiceProfile, Trust};
    use crate::encode::pprof::testing::{TIMING, known, service_of, stack};

    fn window(services: Vec<ServiceProfile>) -> ProfileWindow {
        ProfileWindow {
            start_unix_ns: TIMING.start_unix_ns,
            duration_ns: TIMING.duration_ns,
            period_ns: TIMING.period_ns,
            services,
            sources: Vec::new(),
            trust: Trust { agent_cpu_ns: 1, ..Trust::default() },
        }
    }

    fn identity() -> Identity {
        let labels = vec![("env".into(), "test".into()), ("host".into(), "other".into())];
        Identity { host: "h1".into(), labels }
    }

    fn label_texts(request: &Request) -> Vec<String> {
        let decoded = PushRequest::decode(request.body.clone()).unwrap();
        let text = |series: &RawProfileSeries| {
            let pairs = series.labels.iter().map(|label| format!("{}={}", label.name, label.value));
            pairs.collect::<Vec<_>>().join(",")
        };
        decoded.series.iter().map(text).collect()
    }

    #[test]
    fn a_window_is_one_request_with_a_series_for_each_service_and_one_for_trust() {
        let services = vec![service_of("web", vec![stack(&[known("f")], 1)])];
        let requests = requests(&window(services), &identity());
        let [request] = &requests[..] else { panic!("{} requests", requests.len()) };
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            label_texts(request),
            [
                "__name__=process_cpu,env=test,host=h1,service_name=web".to_owned(),
                format!(
                    "__name__=sonde_trust,env=test,host=h1,service_name=sonde-agent,version={version}"
                ),
            ]
        );
        assert_eq!(request.profiles, 2);
    }

    #[test]
    fn a_service_without_samples_is_not_sent() {
        let requests = requests(&window(vec![service_of("idle", vec![])]), &identity());
        assert_eq!(label_texts(&requests[0]).len(), 1, "only trust");
    }

    #[test]
    fn equal_windows_are_equal_bytes() {
        let build = || {
            let services = vec![service_of("web", vec![stack(&[known("f")], 1)])];
            requests(&window(services), &identity())
        };
        assert_eq!(build(), build());
    }

    #[test]
    fn ids_are_uuids_that_differ_with_the_content() {
        let one = uuid_of(&[], b"one");
        assert_ne!(one, uuid_of(&[], b"two"));
        let lengths: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{one}");
        assert_eq!(&one[14..15], "8");
        assert!("89ab".contains(&one[19..20]), "{one}");
    }

    #[test]
    fn a_large_window_is_split_between_series() {
        let of = |bytes| series(Vec::new(), vec![0; bytes], 1);
        let requests = split(vec![of(400), of(400), of(5_000), of(10)], 1_000);
        let profiles: Vec<_> = requests.iter().map(|request| request.profiles).collect();
        assert_eq!(profiles, [2, 1, 1]);
        assert_eq!(requests.iter().map(|request| request.samples).sum::<u64>(), 4);
    }
}
