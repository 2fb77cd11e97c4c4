//! The two ways to an endpoint, with the exporter of spans and the client for metrics on each.

use std::collections::HashMap;
use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use opentelemetry_otlp::{
    SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient,
};
use prost::Message as _;
use reqwest::ClientBuilder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::{OtlpSettings, OtlpSetupError, Protocol};
use crate::export::http;

/// Sends metrics.
pub(super) enum MetricsClient {
    Http { client: reqwest::Client, url: reqwest::Url },
    Grpc { client: Box<MetricsServiceClient<Channel>>, metadata: MetadataMap },
}

/// Both, set up.
pub(super) fn connect(
    settings: &OtlpSettings,
) -> Result<(SpanExporter, MetricsClient), OtlpSetupError> {
    let headers = headers(settings)?;
    match settings.protocol {
        Protocol::Http => over_http(settings, headers),
        Protocol::Grpc => over_grpc(settings, headers),
    }
}

fn headers(settings: &OtlpSettings) -> Result<HeaderMap, OtlpSetupError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let refused = || OtlpSetupError::Header { name: name.clone() };
        let key: HeaderName = name.parse().map_err(|_| refused())?;
        let mut value: HeaderValue = value.expose().parse().map_err(|_| refused())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn over_http(
    settings: &OtlpSettings,
    headers: HeaderMap,
) -> Result<(SpanExporter, MetricsClient), OtlpSetupError> {
    let parsed = |url: &str| {
        reqwest::Url::parse(url).map_err(|_| OtlpSetupError::Url { url: url.to_owned() })
    };
    let (traces, url) = (parsed(&settings.traces)?, parsed(&settings.metrics)?);
    let with_headers = |builder: ClientBuilder| builder.default_headers(headers);
    let client = http::client([&traces, &url], settings.timeout, with_headers)?;
    let spans = SpanExporter::builder()
        .with_http()
        .with_http_client(client.clone())
        .with_endpoint(&settings.traces)
        .with_headers(HashMap::new())
        .with_compression(opentelemetry_otlp::Compression::Gzip)
        .with_timeout(settings.timeout)
        .build()?;
    Ok((spans, MetricsClient::Http { client, url }))
}

fn over_grpc(
    settings: &OtlpSettings,
    headers: HeaderMap,
) -> Result<(SpanExporter, MetricsClient), OtlpSetupError> {
    let metadata = MetadataMap::from_headers(headers);
    let spans = SpanExporter::builder()
        .with_tonic()
        .with_channel(channel(settings, &settings.traces)?)
        .with_metadata(metadata.clone())
        .with_compression(opentelemetry_otlp::Compression::Gzip)
        .with_timeout(settings.timeout)
        .build()?;
    let client = MetricsServiceClient::new(channel(settings, &settings.metrics)?)
        .send_compressed(CompressionEncoding::Gzip)
        // The OpenTelemetry Collector answers in kind, whether one says that one can read it or not.
        .accept_compressed(CompressionEncoding::Gzip);
    Ok((spans, MetricsClient::Grpc { client: Box::new(client), metadata }))
}

fn channel(settings: &OtlpSettings, url: &str) -> Result<Channel, OtlpSetupError> {
    let refused = |_| OtlpSetupError::Url { url: url.to_owned() };
    // A second call finds the provider in place, which is what it wants.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut endpoint = Endpoint::from_shared(url.to_owned()).map_err(refused)?;
    endpoint = endpoint.timeout(settings.timeout).connect_timeout(settings.timeout);
    if url.starts_with("https:") {
        endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
    }
    Ok(endpoint.connect_lazy())
}

impl MetricsClient {
    /// Sends once; says what was wrong, on one line.
    pub(super) async fn send(
        &mut self,
        request: ExportMetricsServiceRequest,
    ) -> Result<(), String> {
        match self {
            Self::Http { client, url } => {
                let mut body = GzEncoder::new(Vec::new(), Compression::fast());
                let _infallible = body.write_all(&request.encode_to_vec());
                let body = body.finish().unwrap_or_default();
                let request = client
                    .post(url.clone())
                    .header(CONTENT_TYPE, "application/x-protobuf")
                    .header(CONTENT_ENCODING, "gzip")
                    .body(body);
                let response = request.send().await.map_err(|error| error.to_string())?;
                let status = response.status();
                if status.is_success() { Ok(()) } else { Err(status.to_string()) }
            }
            Self::Grpc { client, metadata } => {
                let extensions = tonic::Extensions::default();
                let request = tonic::Request::from_parts(metadata.clone(), extensions, request);
                let sent = client.export(request).await;
                sent.map(drop).map_err(|status| format!("{}: {}", status.code(), status.message()))
            }
        }
    }
}
