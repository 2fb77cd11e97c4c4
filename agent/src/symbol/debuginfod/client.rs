//! One file from one of the servers: `GET /buildid/BUILDID/debuginfo`.

use std::io;
use std::path::PathBuf;

use reqwest::{Response, StatusCode, Url, redirect};
use tokio::runtime::Runtime;

use super::cache::{Cache, KeepError, Known};
use super::{DebuginfodMetrics, DebuginfodSettings, Outcome};

/// Why debuginfod cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An address cannot be used.
    #[error("{url:?} is no http or https address with a host")]
    Url {
        /// What was given.
        url: String,
    },
    /// The folder cannot be used.
    #[error("the cache for debug files at {}: {error}", path.display())]
    Cache {
        /// Where it is.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// The TLS library or the system's certificates cannot be used.
    #[error("set up the HTTP client")]
    Client(#[from] reqwest::Error),
    /// No thread or no event loop can be had.
    #[error("start a thread")]
    Thread(#[from] io::Error),
}

/// Why a server did not help.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("it does not have the file")]
    Absent,
    #[error("the file is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("what it sent is not kept: {0}")]
    WrongFile(KeepError),
    #[error("the cache: {0}")]
    Cache(io::Error),
    #[error("{0}")]
    Http(#[from] reqwest::Error),
}

impl FetchError {
    const fn outcome(&self) -> Outcome {
        match self {
            Self::Absent => Outcome::Absent,
            Self::TooLarge { .. } => Outcome::TooLarge,
            Self::WrongFile(_) => Outcome::WrongFile,
            Self::Cache(_) => Outcome::CacheFailed,
            Self::Status(_) | Self::Http(_) => Outcome::Failed,
        }
    }
}

/// Asks servers, and keeps what they send.
pub(super) struct Client {
    runtime: Runtime,
    client: reqwest::Client,
    urls: Vec<Url>,
    cache: Cache,
    metrics: DebuginfodMetrics,
}

impl Client {
    pub(super) fn new(
        settings: &DebuginfodSettings,
        cache: Cache,
        metrics: DebuginfodMetrics,
    ) -> Result<Self, SetupError> {
        // A second call finds the provider in place, which is what it wants.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("sonde-agent/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.silence_timeout)
            .read_timeout(settings.silence_timeout)
            .timeout(settings.file_timeout)
            // Servers pass requests on to others, and there are no credentials to lose.
            .redirect(redirect::Policy::limited(3))
            .build()?;
        let urls = settings.urls.iter().map(|url| base(url)).collect::<Result<_, _>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, client, urls, cache, metrics })
    }

    /// Puts the debug file into the cache, if any server has it.
    pub(super) fn fetch(&mut self, build_id: &str) -> Outcome {
        let outcome = match self.cache.known(build_id) {
            Known::Here => Outcome::Fetched,
            Known::Absent => Outcome::AbsentRemembered,
            Known::Nothing => self.ask(build_id),
        };
        self.metrics.count(outcome);
        outcome
    }

    fn ask(&mut self, build_id: &str) -> Outcome {
        let mut worst = Outcome::Absent;
        for url in self.urls.clone() {
            match self.get(&url, build_id) {
                Ok(()) => {
                    tracing::info!(build_id, server = %url, "a debug file was fetched");
                    return Outcome::Fetched;
                }
                Err(FetchError::Absent) => {}
                Err(error) => {
                    tracing::warn!(build_id, server = %url, %error, "a debug file can't be fetched");
                    worst = error.outcome();
                }
            }
        }
        if worst == Outcome::Absent
            && let Err(error) = self.cache.remember_absent(build_id)
        {
            tracing::warn!(%error, "the cache for debug files can't be written");
        }
        worst
    }

    fn get(&mut self, base: &Url, build_id: &str) -> Result<(), FetchError> {
        let Self { runtime, client, cache, metrics, .. } = self;
        let mut url = base.clone();
        url.set_path(&format!(
            "{}/buildid/{build_id}/debuginfo",
            base.path().trim_end_matches('/')
        ));
        runtime.block_on(async {
            let response = client.get(url).send().await?;
            match response.status() {
                StatusCode::OK => receive(response, cache, metrics, build_id).await,
                StatusCode::NOT_FOUND | StatusCode::GONE => Err(FetchError::Absent),
                status => Err(FetchError::Status(status)),
            }
        })
    }
}

async fn receive(
    mut response: Response,
    cache: &mut Cache,
    metrics: &DebuginfodMetrics,
    build_id: &str,
) -> Result<(), FetchError> {
    let limit = cache.largest_file();
    if response.content_length().is_some_and(|size| size > limit) {
        return Err(FetchError::TooLarge { limit });
    }
    let mut partial = cache.begin().map_err(FetchError::Cache)?;
    let mut received = 0;
    while let Some(chunk) = response.chunk().await? {
        metrics.received_bytes.inc_by(chunk.len() as u64);
        received += chunk.len() as u64;
        if received > limit {
            return Err(FetchError::TooLarge { limit });
        }
        cache.write(&mut partial, &chunk).map_err(FetchError::Cache)?;
    }
    cache.keep(&partial, build_id).map_err(|error| match error {
        KeepError::Io(error) => FetchError::Cache(error),
        wrong => FetchError::WrongFile(wrong),
    })
}

fn base(text: &str) -> Result<Url, SetupError> {
    let refused = || SetupError::Url { url: text.to_owned() };
    let url = Url::parse(text).map_err(|_| refused())?;
    let web = matches!(url.scheme(), "http" | "https");
    if web && url.host_str().is_some_and(|host| !host.is_empty()) {
        Ok(url)
    } else {
        Err(refused())
    }
}
