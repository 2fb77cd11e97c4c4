//! Facts about spans and points in the store: durable once, found in memory and in files alike.

use super::*;
use crate::metric::{MetricSeries, Point, PointKind};
use crate::store::row_file;
use crate::trace::Span;

const NOON_NS: i64 = NOON * 1_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;

fn span(trace_id: u128, span_id: u64, start_unix_ns: i64) -> Span {
    let service = format!("svc{}", trace_id % 3);
    Span {
        trace_id,
        span_id,
        kind: 2,
        status: u8::try_from(trace_id % 3).unwrap(),
        start_unix_ns,
        end_unix_ns: start_unix_ns + i64::try_from(span_id).unwrap(),
        service: service.into(),
        name: format!("GET /{span_id}").into(),
        route: "/cart".into(),
        resource: vec![1, 2, 3].into(),
        scope: vec![4].into(),
        details: vec![u8::try_from(span_id % 256).unwrap(); 9].into(),
        ..Span::default()
    }
}

fn point(series: u64, unix_ns: i64) -> Point {
    let of = MetricSeries {
        id: series,
        service: "svc".into(),
        metric: "http.server.request.duration".into(),
        kind: PointKind::Histogram,
        temporality: 2,
        attributes: series.to_le_bytes().into(),
        ..MetricSeries::default()
    };
    Point { series: Arc::new(of), start_unix_ns: 1, unix_ns, data: vec![7; 20].into() }
}

fn spans_push(digest: u128, hour: i64) -> Push {
    let start = NOON_NS + hour * HOUR_NS;
    let spans = (0..40).map(|n| span(digest * 100 + u128::from(n / 4), n + 1, start)).collect();
    let points = (0..5).map(|n| point(n, start + 1)).collect();
    Push { digest, spans, points, ..Push::default() }
}

fn all() -> SpanFilter {
    SpanFilter { until_unix_ms: i64::MAX, ..SpanFilter::default() }
}

async fn found(store: &Store, filter: &SpanFilter) -> Vec<Span> {
    let mut spans = Vec::new();
    let visit = |visited| {
        if let Visited::Row(span) = visited {
            spans.push(span);
        }
        false
    };
    store.snapshot().spans(filter, visit).await.unwrap();
    spans.sort_by_key(|span| (span.trace_id, span.span_id));
    spans
}

async fn points(store: &Store) -> Vec<Point> {
    let metrics = vec!["http.server.request.duration"];
    let filter = PointFilter { metrics, service: None, from_unix_ms: 0, until_unix_ms: i64::MAX };
    let mut points = Vec::new();
    store.snapshot().points(&filter, |point| points.push(point.clone())).await.unwrap();
    points
}

/// Three pushes of two hours; the directory as a crash right after them leaves it.
async fn crashed(folder: &Path) -> (Vec<Span>, Vec<Point>) {
    let live = TempDir::new().unwrap();
    let store = Store::open(settings(live.path())).await.unwrap();
    for (digest, hour) in [(1, 0), (2, 1), (3, 0)] {
        store.append(spans_push(digest, hour)).await.unwrap();
    }
    let expected = (found(&store, &all()).await, points(&store).await);
    copy(live.path(), folder);
    expected
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_flush_loses_and_doubles_no_span_and_no_point() {
    let home = TempDir::new().unwrap();
    let base = home.path().join("base");
    let (spans, all_points) = crashed(&base).await;
    assert_eq!((spans.len(), all_points.len()), (120, 15));
    let options = settings(&base);
    let opened = open::open(&options, &StoreMetrics::default()).unwrap();
    let sealed = opened.live.sealed[0].clone();
    let lock = files::lock(&base).unwrap();
    let shared = Shared::new(options, StoreMetrics::default(), opened.live, opened.catalog, lock);
    let mut steps = Vec::new();
    flush(&shared, &sealed, |step| {
        copy(&base, &home.path().join(format!("{step:?}")));
        steps.push(step);
    })
    .unwrap();
    for step in steps {
        let folder = home.path().join(format!("{step:?}"));
        for start in 0..3 {
            let store = Store::open(settings(&folder)).await.unwrap();
            assert_eq!(found(&store, &all()).await, spans, "after {step:?}, start {start}");
            assert_eq!(points(&store).await, all_points, "after {step:?}, start {start}");
            assert_eq!(store.append(spans_push(2, 1)).await.unwrap(), Appended::Duplicate);
            store.close().await;
        }
    }
}

#[tokio::test]
async fn files_answer_every_filter_as_memory_does() {
    let home = TempDir::new().unwrap();
    crashed(home.path()).await;
    let filters = [
        all(),
        SpanFilter { service: Some("svc1".into()), ..all() },
        SpanFilter { name: Some("GET /7".into()), ..all() },
        SpanFilter { route: Some("/none".into()), ..all() },
        SpanFilter { failed: Some(true), ..all() },
        SpanFilter { failed: Some(false), min_duration_ns: 30, ..all() },
        SpanFilter { min_duration_ns: 10, max_duration_ns: Some(30), ..all() },
        SpanFilter { trace_ids: Some([203].into_iter().collect()), ..all() },
        SpanFilter { trace_ids: Some((100..180).collect()), ..all() },
        SpanFilter { from_unix_ms: NOON + 1, ..all() },
        SpanFilter { until_unix_ms: NOON + 1, ..all() },
    ];
    let store = Store::open(settings(home.path())).await.unwrap();
    let mut in_memory = Vec::new();
    for filter in &filters {
        in_memory.push(found(&store, filter).await);
    }
    let points_in_memory = points(&store).await;
    store.close().await;
    drop(store);
    let store = Store::open(settings(home.path())).await.unwrap();
    assert!(store.snapshot().spans.iter().all(|table| table.len() == 0), "all is in files");
    for (filter, expected) in filters.iter().zip(in_memory) {
        assert_eq!(found(&store, filter).await, expected, "{filter:?}");
    }
    assert_eq!(points(&store).await, points_in_memory);
    let bare = found(&store, &SpanFilter { without_details: true, ..all() }).await;
    assert!(bare.iter().all(|span| span.details.is_empty()));
    assert_eq!(bare.len(), 120);
}

#[tokio::test]
async fn files_of_an_hour_are_merged_and_old_ones_deleted() {
    let home = TempDir::new().unwrap();
    for digest in 1..4 {
        let store = Store::open(settings(home.path())).await.unwrap();
        store.append(spans_push(digest, 0)).await.unwrap();
        store.close().await;
    }
    let store = Store::open(settings(home.path())).await.unwrap();
    let before = (found(&store, &all()).await, points(&store).await);
    let shared = &store.inner.shared;
    let files = |signal| shared.catalog().manifest().of(signal).len();
    assert_eq!((files(Signal::Spans), files(Signal::Metrics)), (3, 3));
    maintenance::look_after(shared, NOON + 3 * 3_600_000).unwrap();
    assert_eq!((files(Signal::Spans), files(Signal::Metrics)), (1, 1));
    assert_eq!((found(&store, &all()).await, points(&store).await), before);
    let age = i64::try_from(shared.settings.retention_age.as_millis()).unwrap();
    maintenance::look_after(shared, NOON + 3_600_000 + age).unwrap();
    assert_eq!((files(Signal::Spans), files(Signal::Metrics)), (0, 0));
    assert!(found(&store, &all()).await.is_empty());
}

#[tokio::test]
async fn a_damaged_file_of_spans_is_left_out_and_named() {
    let home = TempDir::new().unwrap();
    crashed(home.path()).await;
    Store::open(settings(home.path())).await.unwrap().close().await;
    let mut files = files::list(&home.path().join("spans")).unwrap();
    files.sort();
    let mut bytes = fs::read(&files[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&files[0], bytes).unwrap();
    let store = Store::open(settings(home.path())).await.unwrap();
    assert_eq!(found(&store, &all()).await.len(), 40, "the other hour's");
    let unread = store.snapshot().unread(0, i64::MAX);
    assert_eq!(unread.iter().map(|file| file.samples).collect::<Vec<_>>(), [80]);
}

#[tokio::test]
async fn rows_of_a_file_come_in_the_table_s_order() {
    let home = TempDir::new().unwrap();
    crashed(home.path()).await;
    Store::open(settings(home.path())).await.unwrap().close().await;
    let store = Store::open(settings(home.path())).await.unwrap();
    let entries = store.inner.shared.catalog().manifest().spans.clone();
    let merged = row_file::merge::<Span>(
        &store.inner.shared,
        &entries,
        Signal::Spans.file_name(999, NOON / 3_600_000),
    )
    .unwrap();
    let mut order = Vec::new();
    parquet_file::read(&home.path().join(&merged.file), |batch| {
        order.extend(<Span as signal::Row>::from_batch(batch)?);
        Ok(())
    })
    .unwrap();
    assert_eq!(order.len(), 120);
    assert!(order.is_sorted_by(|a, b| signal::Row::order(a, b).is_le()));
}
