//! `ExportTraceServiceRequest` to spans. Protobuf is read span by span, so that a request never
//! takes much more memory than its bytes.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan, Status};
use prost::Message;

use super::attributes;
use super::batch::{Batch, Context, Texts};
use super::rejected::Rejection;
use crate::ingest::error::IngestError;
use crate::ingest::protobuf::Fields;
use crate::trace::Span;

/// Spans in protobuf.
pub(super) fn from_protobuf(body: &[u8], context: &Context<'_>) -> Result<Batch, IngestError> {
    let mut spans = Spans::new(context);
    let mut fields = Fields::new("ExportTraceServiceRequest", body);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            spans.resource_spans(field.value.bytes("resource_spans")?)?;
        }
    }
    Ok(spans.batch)
}

/// Spans in JSON.
pub(super) fn from_json(body: &[u8], context: &Context<'_>) -> Result<Batch, IngestError> {
    context.json_objects(body)?;
    let request: ExportTraceServiceRequest = serde_json::from_slice(body)
        .map_err(|error| IngestError::malformed("JSON", error.to_string()))?;
    let mut spans = Spans::new(context);
    for mut of_resource in request.resource_spans {
        let of_scopes = std::mem::take(&mut of_resource.scope_spans);
        spans.begin_resource(&of_resource);
        for mut of_scope in of_scopes {
            let of_scope_spans = std::mem::take(&mut of_scope.spans);
            spans.begin_scope(&of_scope);
            for span in of_scope_spans {
                let bytes = span.encoded_len();
                spans.add(span, bytes)?;
            }
        }
    }
    Ok(spans.batch)
}

/// Spans of one request while they are read.
struct Spans<'a> {
    context: &'a Context<'a>,
    batch: Batch,
    texts: Texts,
    rows: usize,
    service: Result<Arc<str>, Rejection>,
    resource: Arc<[u8]>,
    scope: Arc<[u8]>,
}

impl<'a> Spans<'a> {
    fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            batch: Batch::default(),
            texts: Texts::default(),
            rows: 0,
            service: Ok(Arc::default()),
            resource: Arc::default(),
            scope: Arc::default(),
        }
    }

    fn begin_resource(&mut self, of: &ResourceSpans) {
        let service = attributes::service(of.resource.as_ref());
        let fits = service.len() <= self.context.limits.label_value_bytes;
        self.service = fits.then(|| self.texts.get(service)).ok_or(Rejection::ServiceName);
        self.resource = of.encode_to_vec().into();
    }

    fn begin_scope(&mut self, of: &ScopeSpans) {
        self.scope = of.encode_to_vec().into();
    }

    fn resource_spans(&mut self, message: &[u8]) -> Result<(), IngestError> {
        let mut head = ResourceSpans::default();
        let mut fields = Fields::new("ResourceSpans", message);
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
        self.begin_resource(&head);
        let mut fields = Fields::new("ResourceSpans", message);
        while let Some(field) = fields.next()? {
            if field.number == 2 {
                self.scope_spans(field.value.bytes("scope_spans")?)?;
            }
        }
        Ok(())
    }

    fn scope_spans(&mut self, message: &[u8]) -> Result<(), IngestError> {
        let mut head = ScopeSpans::default();
        let mut fields = Fields::new("ScopeSpans", message);
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
        self.begin_scope(&head);
        let mut fields = Fields::new("ScopeSpans", message);
        while let Some(field) = fields.next()? {
            if field.number == 2 {
                let message = field.value.bytes("spans")?;
                if message.len() > self.context.limits.otlp_row_bytes {
                    self.context.count(&mut self.rows)?;
                    self.batch.rejected.add(Rejection::TooLarge);
                } else {
                    self.add(decode(message)?, message.len())?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, span: OtlpSpan, bytes: usize) -> Result<(), IngestError> {
        self.context.count(&mut self.rows)?;
        match self.span(span, bytes) {
            Ok(span) => self.batch.spans.push(span),
            Err(why) => self.batch.rejected.add(why),
        }
        Ok(())
    }

    fn span(&mut self, mut span: OtlpSpan, bytes: usize) -> Result<Span, Rejection> {
        let service = self.service.clone()?;
        if bytes > self.context.limits.otlp_row_bytes {
            return Err(Rejection::TooLarge);
        }
        let trace_id = <[u8; 16]>::try_from(&span.trace_id[..]).map(u128::from_be_bytes);
        let trace_id = trace_id.ok().filter(|id| *id != 0).ok_or(Rejection::TraceId)?;
        let id = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).map(u64::from_be_bytes).ok();
        let span_id = id(&span.span_id).filter(|id| *id != 0).ok_or(Rejection::SpanId)?;
        let parent_span_id = match &span.parent_span_id[..] {
            [] => 0,
            parent => id(parent).ok_or(Rejection::ParentSpanId)?,
        };
        let start_unix_ns = self.context.time(span.start_time_unix_nano)?;
        let end_unix_ns = i64::try_from(span.end_time_unix_nano).map_err(|_| Rejection::NoTime)?;
        let route = attributes::text(&span.attributes, "http.route").unwrap_or_default();
        let status = span.status.take().unwrap_or_default();
        let Status { message, code } = status;
        let stored = Span {
            trace_id,
            span_id,
            parent_span_id,
            kind: number(span.kind, 5),
            status: number(code, 2),
            start_unix_ns,
            end_unix_ns,
            service,
            name: self.texts.get(&span.name),
            route: self.texts.get(route),
            status_message: self.texts.get(&message),
            resource: Arc::clone(&self.resource),
            scope: Arc::clone(&self.scope),
            details: Arc::default(),
        };
        // The rest, losslessly: what is cleared here is a field above.
        let rest = OtlpSpan {
            trace_id: Vec::new(),
            span_id: Vec::new(),
            parent_span_id: Vec::new(),
            name: String::new(),
            kind: 0,
            start_time_unix_nano: 0,
            end_time_unix_nano: 0,
            ..span
        };
        Ok(Span { details: rest.encode_to_vec().into(), ..stored })
    }
}

/// A number of an enum, 0 where it is none that we know.
fn number(number: i32, last: u8) -> u8 {
    u8::try_from(number).ok().filter(|number| *number <= last).unwrap_or(0)
}

/// Decodes one message.
pub(super) fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, IngestError> {
    M::decode(bytes).map_err(|error| IngestError::malformed("protobuf", error.to_string()))
}

/// Decodes text.
pub(super) fn text(bytes: &[u8]) -> Result<String, IngestError> {
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned).map_err(|error| IngestError::malformed("text", error.to_string()))
}
