//! Facts about OTLP requests: what is taken, what is refused and why, and that JSON and protobuf
//! mean the same.
#![expect(clippy::unwrap_used, reason = "a failure here is the test's failure")]

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan};
use proptest::prelude::*;
use prost::Message as _;

use super::batch::Context;
use super::rejected::Rejection;
use super::*;

const NOW_MS: i64 = 1_700_000_000_000;
const NOW_NS: u64 = 1_700_000_000_000_000_000;

fn decode_traces(encoding: Encoding, body: &[u8]) -> Result<Batch, IngestError> {
    let limits = Limits::default();
    let context = Context { now_unix_ms: NOW_MS, limits: &limits };
    decode(OtlpSignal::Traces, encoding, body, &context)
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn good() -> OtlpSpan {
    OtlpSpan {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "GET".to_owned(),
        kind: 2,
        start_time_unix_nano: NOW_NS,
        end_time_unix_nano: NOW_NS + 5,
        ..OtlpSpan::default()
    }
}

fn request(spans: Vec<OtlpSpan>) -> ExportTraceServiceRequest {
    let service = any_value::Value::StringValue("shop".to_owned());
    let attributes = vec![attribute("service.name", service)];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let of =
        ResourceSpans { resource, scope_spans, schema_url: "https://example.com/1".to_owned() };
    ExportTraceServiceRequest { resource_spans: vec![of] }
}

/// Why a span is not taken; `None` if it is.
fn why(span: OtlpSpan) -> Option<&'static str> {
    let body = request(vec![good(), span]).encode_to_vec();
    let batch = decode_traces(Encoding::Protobuf, &body).unwrap();
    let reasons: Vec<_> = batch.rejected.by_reason().collect();
    assert_eq!(batch.spans.len() + reasons.len(), 2, "the good one is always taken");
    reasons.first().map(|(why, _): &(Rejection, u64)| why.label())
}

#[test]
fn a_bad_span_is_rejected_under_its_reason_and_the_good_one_taken() {
    assert_eq!(why(good()), None);
    assert_eq!(why(OtlpSpan { trace_id: vec![0; 16], ..good() }), Some("trace_id"));
    assert_eq!(why(OtlpSpan { trace_id: vec![1; 15], ..good() }), Some("trace_id"));
    assert_eq!(why(OtlpSpan { span_id: vec![0; 8], ..good() }), Some("span_id"));
    assert_eq!(why(OtlpSpan { span_id: Vec::new(), ..good() }), Some("span_id"));
    assert_eq!(why(OtlpSpan { parent_span_id: vec![1; 3], ..good() }), Some("parent_span_id"));
    assert_eq!(why(OtlpSpan { start_time_unix_nano: 0, ..good() }), Some("no_time"));
    assert_eq!(why(OtlpSpan { end_time_unix_nano: u64::MAX, ..good() }), Some("no_time"));
    let day = 24 * 3_600_000_000_000;
    assert_eq!(why(OtlpSpan { start_time_unix_nano: NOW_NS - 8 * day, ..good() }), Some("too_old"));
    assert_eq!(why(OtlpSpan { start_time_unix_nano: NOW_NS + day, ..good() }), Some("in_future"));
    let large = attribute("a", any_value::Value::StringValue("x".repeat(2 << 20)));
    assert_eq!(why(OtlpSpan { attributes: vec![large], ..good() }), Some("too_large"));
}

#[test]
fn what_is_no_otlp_is_refused_whole() {
    for body in [&[0xff; 9][..], &[0x0a, 0x7f, 1]] {
        let refused = decode_traces(Encoding::Protobuf, body).unwrap_err();
        assert_eq!(refused.label(), "malformed");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for json in ["", "{\"resourceSpans\":{}}", "nonsense", &deep] {
        let refused = decode_traces(Encoding::Json, json.as_bytes()).unwrap_err();
        assert_eq!(refused.label(), "malformed", "{}", &json[..json.len().min(30)]);
    }
    let value = "{\"arrayValue\":{\"values\":[".repeat(1000);
    let json = format!("{{\"resourceSpans\":[{{\"resource\":{{\"attributes\":[{{\"value\":{value}");
    assert_eq!(decode_traces(Encoding::Json, json.as_bytes()).unwrap_err().label(), "malformed");
}

#[test]
fn more_spans_than_a_request_may_have_are_refused() {
    let limits = Limits { otlp_rows: 10, json_objects: 30, ..Limits::default() };
    let context = Context { now_unix_ms: NOW_MS, limits: &limits };
    let many = request(vec![good(); 11]);
    let traces = OtlpSignal::Traces;
    let body = many.encode_to_vec();
    let refused = decode(traces, Encoding::Protobuf, &body, &context).unwrap_err();
    assert_eq!(refused.label(), "too_many");
    let json = format!("{{\"resourceSpans\":[{}]}}", vec!["{}"; 31].join(","));
    let refused = decode(traces, Encoding::Json, json.as_bytes(), &context).unwrap_err();
    assert_eq!(refused.label(), "too_many");
}

#[test]
fn a_hundred_thousand_spans_in_one_request_are_taken() {
    let span = |n: u64| OtlpSpan { span_id: (n + 1).to_be_bytes().to_vec(), ..good() };
    let body = request((0..100_000).map(span).collect()).encode_to_vec();
    assert_eq!(decode_traces(Encoding::Protobuf, &body).unwrap().spans.len(), 100_000);
}

#[test]
fn ids_in_json_are_hex_and_numbers_may_be_text() {
    let json = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name",
        "value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"traceId":
        "5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","parentSpanId":
        "EEE19B7EC3C1B173","name":"a","startTimeUnixNano":"1700000000000000000",
        "endTimeUnixNano":1700000000000000007,"kind":2,"unknownField":[1,{}],
        "attributes":[{"key":"http.route","value":{"stringValue":"/cart"}}],
        "status":{"code":2,"message":"no"}}]}]}]}"#;
    let batch = decode_traces(Encoding::Json, json.as_bytes()).unwrap();
    let [span] = &batch.spans[..] else { panic!("one span: {:?}", batch.rejected) };
    assert_eq!(span.trace_id, 0x5b8e_fff7_9803_8103_d269_b633_813f_c60c);
    assert_eq!((span.span_id, span.parent_span_id & 0xff), (0xeee1_9b7e_c3c1_b174, 0x73));
    assert_eq!((&*span.service, &*span.route, span.duration_ns()), ("shop", "/cart", 7));
    assert!(span.failed() && &*span.status_message == "no");
}

fn value() -> impl Strategy<Value = any_value::Value> {
    use any_value::Value;
    prop_oneof![
        ".{0,8}".prop_map(Value::StringValue),
        any::<bool>().prop_map(Value::BoolValue),
        any::<i64>().prop_map(Value::IntValue),
        // Others may be off by the last bit when they are read from JSON.
        any::<i32>().prop_map(|n| Value::DoubleValue(f64::from(n) / 4.0)),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(Value::BytesValue),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn json_and_protobuf_of_a_request_become_the_same_spans(
        values in proptest::collection::vec(("[a-z.]{1,8}", value()), 0..6),
        id in 1..u64::MAX,
        status in 0..3,
    ) {
        let attributes = values.into_iter().map(|(key, value)| attribute(&key, value)).collect();
        let status = opentelemetry_proto::tonic::trace::v1::Status {
            code: status,
            message: "m".to_owned(),
        };
        let span = OtlpSpan {
            attributes, span_id: id.to_be_bytes().to_vec(), status: Some(status), ..good()
        };
        let request = request(vec![span.clone()]);
        let ours = decode_traces(Encoding::Protobuf, &request.encode_to_vec()).unwrap().spans;
        let json = serde_json::to_vec(&request).unwrap();
        prop_assert_eq!(&ours, &decode_traces(Encoding::Json, &json).unwrap().spans);
        // Nothing is lost: what is no column is in `details`.
        let rest = OtlpSpan::decode(&ours[0].details[..]).unwrap();
        prop_assert_eq!(rest.attributes, span.attributes);
        let head = ResourceSpans::decode(&ours[0].resource[..]).unwrap();
        prop_assert_eq!(head.schema_url, "https://example.com/1");
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for signal in [OtlpSignal::Traces, OtlpSignal::Metrics] {
            let limits = Limits::default();
            let context = Context { now_unix_ms: NOW_MS, limits: &limits };
            drop(decode(signal, Encoding::Protobuf, &body, &context));
            drop(decode(signal, Encoding::Json, &body, &context));
        }
    }
}

mod metrics_of_otlp {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::{
        Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
        ScopeMetrics, number_data_point,
    };

    use super::*;

    fn batch(metrics: Vec<Metric>) -> Batch {
        let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
        let of = ResourceMetrics { scope_metrics, ..ResourceMetrics::default() };
        let request = ExportMetricsServiceRequest { resource_metrics: vec![of] };
        let limits = Limits::default();
        let context = Context { now_unix_ms: NOW_MS, limits: &limits };
        let metrics = OtlpSignal::Metrics;
        let body = request.encode_to_vec();
        let ours = decode(metrics, Encoding::Protobuf, &body, &context).unwrap();
        let json = serde_json::to_vec(&request).unwrap();
        let same = decode(metrics, Encoding::Json, &json, &context).unwrap();
        assert_eq!((&ours.points, &ours.rejected), (&same.points, &same.rejected));
        ours
    }

    fn gauge(name: &str, points: Vec<NumberDataPoint>) -> Metric {
        let data = Some(Data::Gauge(Gauge { data_points: points }));
        Metric { name: name.to_owned(), data, ..Metric::default() }
    }

    fn number(attributes: Vec<KeyValue>) -> NumberDataPoint {
        let value = Some(number_data_point::Value::AsInt(3));
        NumberDataPoint { attributes, time_unix_nano: NOW_NS, value, ..NumberDataPoint::default() }
    }

    fn text(key: &str, value: &str) -> KeyValue {
        attribute(key, any_value::Value::StringValue(value.to_owned()))
    }

    #[test]
    fn a_series_is_what_its_attributes_are_in_whatever_order() {
        let (a, b) = (text("a", "1"), text("b", "2"));
        let points =
            vec![number(vec![a.clone(), b.clone()]), number(vec![b, a.clone()]), number(vec![a])];
        let ids: Vec<u64> =
            batch(vec![gauge("g", points)]).points.iter().map(|point| point.series.id).collect();
        assert!(ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");
    }

    #[test]
    fn bad_points_are_rejected_under_their_reason_and_exemplars_counted() {
        let good = HistogramDataPoint {
            time_unix_nano: NOW_NS,
            count: 3,
            bucket_counts: vec![1, 2],
            explicit_bounds: vec![0.5],
            exemplars: vec![Exemplar::default(); 2],
            ..HistogramDataPoint::default()
        };
        let unfit = HistogramDataPoint { bucket_counts: vec![1], ..good.clone() };
        let falls = HistogramDataPoint {
            bucket_counts: vec![1, 1, 1],
            explicit_bounds: vec![2.0, 1.0],
            ..good.clone()
        };
        let timeless = HistogramDataPoint { time_unix_nano: 0, ..good.clone() };
        let data_points = vec![good, unfit, falls, timeless];
        let data = Some(Data::Histogram(Histogram { data_points, aggregation_temporality: 2 }));
        let histogram = Metric { name: "h".to_owned(), data, ..Metric::default() };
        let nothing = NumberDataPoint { value: None, ..number(Vec::new()) };
        let unnamed = gauge("", vec![number(Vec::new())]);
        let batch = batch(vec![histogram, gauge("g", vec![nothing]), unnamed]);
        let reasons: Vec<_> =
            batch.rejected.by_reason().map(|(why, count)| (why.label(), count)).collect();
        let expected = [("no_time", 1), ("metric_name", 1), ("no_value", 1), ("buckets", 2)];
        assert_eq!(reasons, expected);
        assert_eq!((batch.points.len(), batch.exemplars), (1, 2));
    }
}
