//! `ExportMetricsServiceRequest` to points. Protobuf is read point by point, so that a request
//! never takes much more memory than its bytes.

mod point;
mod series;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::batch::{Batch, Context};
use super::rejected::Rejection;
use super::traces::{decode, text};
use crate::ingest::error::IngestError;
use crate::ingest::protobuf::{Fields, Value};
use crate::metric::PointKind;
use point::DataPoint;
use series::{Instrument, SeriesOf};

/// Points in protobuf.
pub(super) fn from_protobuf(body: &[u8], context: &Context<'_>) -> Result<Batch, IngestError> {
    let mut points = Points::new(context);
    let mut fields = Fields::new("ExportMetricsServiceRequest", body);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            points.resource_metrics(field.value.bytes("resource_metrics")?)?;
        }
    }
    Ok(points.batch)
}

/// Points in JSON.
pub(super) fn from_json(body: &[u8], context: &Context<'_>) -> Result<Batch, IngestError> {
    context.json_objects(body)?;
    let request: ExportMetricsServiceRequest = serde_json::from_slice(body)
        .map_err(|error| IngestError::malformed("JSON", error.to_string()))?;
    let mut points = Points::new(context);
    for mut of_resource in request.resource_metrics {
        let of_scopes = std::mem::take(&mut of_resource.scope_metrics);
        points.series.begin_resource(&of_resource);
        for mut of_scope in of_scopes {
            let metrics = std::mem::take(&mut of_scope.metrics);
            points.series.begin_scope(&of_scope);
            metrics.into_iter().try_for_each(|metric| points.metric(metric))?;
        }
    }
    Ok(points.batch)
}

/// Points of one request while they are read.
struct Points<'a> {
    context: &'a Context<'a>,
    batch: Batch,
    series: SeriesOf<'a>,
    rows: usize,
}

impl<'a> Points<'a> {
    fn new(context: &'a Context<'a>) -> Self {
        let series = SeriesOf::new(context);
        Self { context, batch: Batch::default(), series, rows: 0 }
    }

    fn resource_metrics(&mut self, message: &[u8]) -> Result<(), IngestError> {
        let mut head = ResourceMetrics::default();
        let mut fields = Fields::new("ResourceMetrics", message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => {
                    let resource = field.value.bytes("resource")?;
                    self.context.check_head(resource)?;
                    head.resource = Some(decode::<Resource>(resource)?);
                }
                3 => head.schema_url = text(field.value.bytes("schema_url")?)?,
                _ => {}
            }
        }
        self.series.begin_resource(&head);
        let mut fields = Fields::new("ResourceMetrics", message);
        while let Some(field) = fields.next()? {
            if field.number == 2 {
                self.scope_metrics(field.value.bytes("scope_metrics")?)?;
            }
        }
        Ok(())
    }

    fn scope_metrics(&mut self, message: &[u8]) -> Result<(), IngestError> {
        let mut head = ScopeMetrics::default();
        let mut fields = Fields::new("ScopeMetrics", message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => {
                    let scope = field.value.bytes("scope")?;
                    self.context.check_head(scope)?;
                    head.scope = Some(decode::<InstrumentationScope>(scope)?);
                }
                3 => head.schema_url = text(field.value.bytes("schema_url")?)?,
                _ => {}
            }
        }
        self.series.begin_scope(&head);
        let mut fields = Fields::new("ScopeMetrics", message);
        while let Some(field) = fields.next()? {
            if field.number == 2 {
                self.metric_message(field.value.bytes("metrics")?)?;
            }
        }
        Ok(())
    }

    /// The head of a metric first, since its points may come before its name.
    fn metric_message(&mut self, message: &[u8]) -> Result<(), IngestError> {
        let mut head = Metric::default();
        let mut data = None;
        let mut fields = Fields::new("Metric", message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => head.name = text(field.value.bytes("name")?)?,
                2 => head.description = text(field.value.bytes("description")?)?,
                3 => head.unit = text(field.value.bytes("unit")?)?,
                5 => data = Some((PointKind::Gauge, field.value.bytes("gauge")?)),
                7 => data = Some((PointKind::Sum, field.value.bytes("sum")?)),
                9 => data = Some((PointKind::Histogram, field.value.bytes("histogram")?)),
                10 => {
                    let bytes = field.value.bytes("exponential_histogram")?;
                    data = Some((PointKind::ExponentialHistogram, bytes));
                }
                11 => data = Some((PointKind::Summary, field.value.bytes("summary")?)),
                _ => {}
            }
        }
        let Some((kind, data)) = data else { return Ok(()) };
        let mut instrument = Instrument { kind, temporality: 0, monotonic: false };
        let mut fields = Fields::new("Metric", data);
        while let Some(field) = fields.next()? {
            match (field.number, &field.value) {
                (2, Value::Varint(number)) => instrument.temporality = temporality(*number),
                (3, Value::Varint(yes)) => instrument.monotonic = *yes != 0,
                _ => {}
            }
        }
        self.series.begin_metric(&head, instrument);
        let mut fields = Fields::new("Metric", data);
        while let Some(field) = fields.next()? {
            if field.number == 1 {
                self.point_message(kind, field.value.bytes("data_points")?)?;
            }
        }
        Ok(())
    }

    fn point_message(&mut self, kind: PointKind, message: &[u8]) -> Result<(), IngestError> {
        if message.len() > self.context.limits.otlp_row_bytes {
            self.context.count(&mut self.rows)?;
            self.batch.rejected.add(Rejection::TooLarge);
            return Ok(());
        }
        match kind {
            PointKind::Gauge | PointKind::Sum => self.add::<NumberDataPoint>(decode(message)?),
            PointKind::Histogram => self.add::<HistogramDataPoint>(decode(message)?),
            PointKind::ExponentialHistogram => {
                self.add::<ExponentialHistogramDataPoint>(decode(message)?)
            }
            PointKind::Summary => self.add::<SummaryDataPoint>(decode(message)?),
        }
    }

    fn metric(&mut self, mut metric: Metric) -> Result<(), IngestError> {
        let of = |kind, temporality: i32, monotonic| {
            let temporality = self::temporality(u64::try_from(temporality).unwrap_or(0));
            Instrument { kind, temporality, monotonic }
        };
        match metric.data.take() {
            None => Ok(()),
            Some(Data::Gauge(gauge)) => {
                let instrument = of(PointKind::Gauge, 0, false);
                self.all(&metric, instrument, gauge.data_points)
            }
            Some(Data::Sum(sum)) => {
                let instrument = of(PointKind::Sum, sum.aggregation_temporality, sum.is_monotonic);
                self.all(&metric, instrument, sum.data_points)
            }
            Some(Data::Histogram(histogram)) => {
                let instrument = of(PointKind::Histogram, histogram.aggregation_temporality, false);
                self.all(&metric, instrument, histogram.data_points)
            }
            Some(Data::ExponentialHistogram(histogram)) => {
                let temporality = histogram.aggregation_temporality;
                let instrument = of(PointKind::ExponentialHistogram, temporality, false);
                self.all(&metric, instrument, histogram.data_points)
            }
            Some(Data::Summary(summary)) => {
                self.all(&metric, of(PointKind::Summary, 0, false), summary.data_points)
            }
        }
    }

    fn all<P: DataPoint>(
        &mut self,
        metric: &Metric,
        instrument: Instrument,
        points: Vec<P>,
    ) -> Result<(), IngestError> {
        self.series.begin_metric(metric, instrument);
        points.into_iter().try_for_each(|point| self.add(point))
    }

    fn add<P: DataPoint>(&mut self, point: P) -> Result<(), IngestError> {
        self.context.count(&mut self.rows)?;
        match point.stored(self.context, &mut self.series, &mut self.batch.exemplars) {
            Ok(point) => self.batch.points.push(point),
            Err(why) => self.batch.rejected.add(why),
        }
        Ok(())
    }
}

/// A temporality that we know, or 0.
fn temporality(number: u64) -> u8 {
    u8::try_from(number).ok().filter(|number| *number <= 2).unwrap_or(0)
}
