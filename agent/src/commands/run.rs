//! `sonde-agent run`: profile this host without end and push what is found.

use std::sync::mpsc::Receiver;

use anyhow::Context as _;
use tokio::sync::watch;

use super::{host_name, stop_signal};
use crate::{
    aggregate::ProfileWindow,
    config::Settings,
    export::otlp::{self, Exporter},
    export::push::{self, Identity, Pusher},
    pipeline::{CaptureSettings, Counters, Pipeline, RequestSettings, Targets},
    telemetry::{bind, serve, start_log},
};

pub(super) fn run(settings: &Settings) -> anyhow::Result<()> {
    start_log(&settings.log_level)?;
    // Sending, serving and waiting for signals: the work has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(daemon(settings))
}

async fn daemon(settings: &Settings) -> anyhow::Result<()> {
    let stop_signal = stop_signal().context("wait for signals")?;
    let counters = Counters::default();
    let listener = bind(settings.listen).await?;
    let (pusher, sender) = push::channel(
        settings.push(),
        counters.metrics.push.clone(),
        counters.metrics.losses.clone(),
    )?;
    let host = settings.host.clone().unwrap_or_else(host_name);
    let (requests, exporter) = requests(settings, &host, &counters)?;
    let (pipeline, windows) = Pipeline::start(capture(settings, &host, requests), &counters)?;
    tracing::info!(
        collector = settings.collector,
        metrics = %format_args!("http://{}/metrics", settings.listen),
        frequency = settings.frequency,
        "profiling this host"
    );
    let identity = Identity { host, labels: settings.labels.clone() };
    let forward = std::thread::Builder::new()
        .name("encode".into())
        .spawn(move || forward(&windows, &identity, &pusher))?;

    let (stop, stopped) = watch::channel(false);
    let registry = counters.metrics.registry();
    let server = tokio::spawn(serve(listener, registry, counters.health, is(stopped.clone())));
    let exporting = exporter.map(|exporter| tokio::spawn(exporter.run(is(stopped.clone()))));
    let sending = tokio::spawn(sender.run(is(stopped)));
    stop_signal.await;
    tracing::info!("stopping: what was taken is sent first");
    // The last window is queued before the sender is told to stop.
    tokio::task::spawn_blocking(move || {
        pipeline.finish();
        forward.join()
    })
    .await?
    .map_err(|_| anyhow::anyhow!("the encoding thread panicked"))?;
    stop.send_replace(true);
    sending.await?;
    if let Some(exporting) = exporting {
        exporting.await?;
    }
    server.await?
}

/// How requests are measured, and who sends what is found; nothing of it unless somebody wants that.
fn requests(
    settings: &Settings,
    host: &str,
    counters: &Counters,
) -> anyhow::Result<(Option<RequestSettings>, Option<Exporter>)> {
    if !settings.requests {
        return Ok((None, None));
    }
    let sampling = settings.otlp.sampling;
    let Some(otlp) = settings.otlp.settings(&settings.push()) else {
        return Ok((Some(RequestSettings { sampling, spans: None }), None));
    };
    let metrics = &counters.metrics;
    let (queue, exporter) =
        otlp::channel(otlp, host.to_owned(), metrics.requests.clone(), metrics.otlp.clone())?;
    Ok((Some(RequestSettings { sampling, spans: Some(queue) }), Some(exporter)))
}

fn capture(settings: &Settings, host: &str, requests: Option<RequestSettings>) -> CaptureSettings {
    CaptureSettings {
        frequency: settings.frequency,
        window: Some(settings.window),
        targets: Targets::everybody(),
        host: host.to_owned(),
        debug_messages: tracing::enabled!(tracing::Level::DEBUG),
        table_bytes: settings.table_bytes,
        requests,
        syscalls: settings.syscalls,
        debuginfod: settings.debuginfod.settings(),
    }
}

fn forward(windows: &Receiver<ProfileWindow>, identity: &Identity, pusher: &Pusher) {
    for window in windows {
        for request in push::requests(&window, identity) {
            pusher.push(request);
        }
    }
}

async fn is(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is an end too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
