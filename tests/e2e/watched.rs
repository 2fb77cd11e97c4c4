//! An agent that watches a web server, and what it tells of it.

use std::net::TcpStream;
use std::time::Duration;

use sonde_tests::Agent;
use sonde_tests::collector::Collector;
use sonde_tests::server::{Server, Web};
use tempfile::TempDir;

/// An agent that watches, and a server that counts.
pub(crate) struct Watched {
    pub(crate) agent: Agent,
    pub(crate) web: Web,
    server: Server,
    _collector: Collector,
    _folder: TempDir,
}

impl Watched {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let collector = Collector::start(folder.path()).unwrap();
        let agent = Agent::start(&collector, folder.path()).unwrap();
        let (server, web) = Server::web().unwrap();
        Self { agent, web, server, _collector: collector, _folder: folder }
    }

    /// A connection to the server.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.web.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// The sum of a metric's values whose labels hold all of these.
    pub(crate) fn value(&self, name: &str, labels: &[&str]) -> f64 {
        let metrics = self.agent.metrics().unwrap();
        let wanted = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        // Behind a value there may be an exemplar.
        let number = |line: &str| line.split(" # ").next()?.rsplit(' ').next()?.parse::<f64>().ok();
        metrics.lines().filter(wanted).filter_map(number).sum()
    }

    /// Requests that the server served, as the agent tells.
    pub(crate) fn served(&self, labels: &[&str]) -> f64 {
        let labels = [labels, &["service_name=\"nginx\""]].concat();
        self.value("http_server_request_duration_seconds_count", &labels)
    }

    pub(crate) fn stop(mut self) {
        self.server.stop().unwrap();
        self.agent.process.stop(libc::SIGTERM).unwrap();
    }
}
