//! A merged profile as a file: pprof, folded stacks or SVG.

use std::io::Write;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Api;
use super::error::ApiError;
use super::params::{Params, Question};
use crate::query::{self, Meaning, NodeId, Tree};

/// `GET /api/v1/profile/download`
pub(super) async fn download(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let question = params.question(api.snapshot())?;
    let format = params.word("format", &["pprof", "folded", "svg"])?;
    let root = params.root()?;
    let (body, mime, extension) = match format {
        "pprof" => (api.pprof(&question, root).await?, "application/octet-stream", "pb.gz"),
        "folded" => (api.folded(&question, root).await?, "text/plain; charset=utf-8", "folded"),
        _ => (api.svg(&question, root).await?, "image/svg+xml", "svg"),
    };
    let name = file_name(&question, extension);
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [(header::CONTENT_TYPE, mime), (header::CONTENT_DISPOSITION, &disposition)];
    Ok((headers, body).into_response())
}

impl Api {
    async fn pprof(&self, question: &Question, root: NodeId) -> Result<Vec<u8>, ApiError> {
        let turn = self.turn().await?;
        let (snapshot, select) = (&question.snapshot, &question.select);
        let (mut stacks, mut services) = if question.of_one_service() {
            (snapshot.merge(select).await?.stacks, Vec::new())
        } else {
            (Vec::new(), snapshot.merge_by_service(select).await?.services)
        };
        let series = snapshot.series(select).await?;
        let symbols = snapshot.symbols();
        let of = question.profile_type().cloned();
        let range = question.range;
        let encode = move || {
            let _turn = turn;
            query::keep_under(&mut stacks, &symbols, NodeId::ALL, root);
            for service in &mut services {
                let start = query::service_id(&service.service);
                query::keep_under(&mut service.stacks, &symbols, start, root);
                stacks.append(&mut service.stacks);
            }
            let part =
                |part: fn(&crate::profile::ProfileType) -> &str| of.as_ref().map_or("", part);
            let mut periods = series.iter().map(|(series, _)| series.period);
            let period = periods.next().unwrap_or(0);
            let meaning = Meaning {
                sample_type: part(|of| &of.sample_type),
                sample_unit: part(|of| &of.sample_unit),
                period_type: part(|of| &of.period_type),
                period_unit: part(|of| &of.period_unit),
                period: if periods.all(|other| other == period) { period } else { 0 },
                from_ms: range.from_ms,
                length_ms: range.length_ms(),
            };
            zipped(&query::encode_pprof(&stacks, &symbols, meaning))
        };
        self.compute(encode).await?
    }

    async fn folded(&self, question: &Question, root: NodeId) -> Result<Vec<u8>, ApiError> {
        let merged = self.tree(question).await?;
        self.compute(move || {
            Ok(query::folded(&merged.tree, start(&merged.tree, root)?).into_bytes())
        })
        .await?
    }

    async fn svg(&self, question: &Question, root: NodeId) -> Result<Vec<u8>, ApiError> {
        let merged = self.tree(question).await?;
        let title = title(question);
        let unit =
            question.profile_type().map_or_else(String::new, |of| of.sample_unit.to_string());
        let draw = move || {
            let root = start(&merged.tree, root)?;
            query::svg(&merged.tree, root, &title, &unit).map_err(|_| ApiError::Nothing("draw"))
        };
        self.compute(draw).await?
    }
}

fn start(tree: &Tree, root: NodeId) -> Result<usize, ApiError> {
    tree.find(root).ok_or(ApiError::Nothing("download under this `root`"))
}

fn title(question: &Question) -> String {
    let of = question.profile_type().map_or("", |of| &of.sample_type);
    if question.selector_text.is_empty() {
        return format!("{of}, all services");
    }
    format!("{of} {}", question.selector_text)
}

/// `cpu-checkout-1700000000.pb.gz`: type, first value of the selector, start in Unix seconds.
fn file_name(question: &Question, extension: &str) -> String {
    let of = question.profile_type().map_or("profile", |of| &of.sample_type);
    let service = question.selector_text.split('"').nth(1).unwrap_or("all");
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = format!("{of}-{service}").chars().take(80).map(safe).collect();
    format!("{name}-{}.{extension}", question.range.from_ms / 1000)
}

pub(crate) fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn zipped(bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    gzip(bytes).map_err(|error| ApiError::Internal(format!("compress: {error}")))
}
