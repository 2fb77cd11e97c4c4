//! Requests of a shop whose services, in four languages, ask one another: every span is there, under
//! the request that caused it, and nothing that is secret.
#![expect(clippy::print_stdout, reason = "figures are part of what a run shows")]

use std::collections::HashMap;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use sonde_tests::collector::Collector;
use sonde_tests::process::Process;
use sonde_tests::{Agent, binary, free_port, http, wait_until};
use tempfile::TempDir;

/// The services, an agent that watches them, and the collector that it tells.
struct Shop {
    agent: Agent,
    collector: Collector,
    front: u16,
    stock: u16,
    _services: Vec<Process>,
    folder: TempDir,
}

impl Shop {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let collector = Collector::start(folder.path()).unwrap();
        let mut agent = Command::new(binary("SONDE_AGENT_BIN").unwrap());
        // What else this machine does must not crowd out the spans that a test waits for.
        agent.env("SONDE_AGENT_SPANS_PER_SECOND", "100000");
        let agent = Agent::start_by(agent, &collector, folder.path()).unwrap();
        let built = binary("SONDE_WORKLOADS").unwrap().join("services");
        let ports: [u16; 4] = std::array::from_fn(|_| free_port().unwrap());
        let [stock, prices, orders, front] = ports.map(|port| port.to_string());
        let path = |name: &str| built.join(name).to_str().unwrap().to_owned();
        let services = [
            ("stock", vec![path("stock"), stock.clone()]),
            ("prices", vec!["node".into(), path("prices.mjs"), prices.clone()]),
            (
                "orders",
                vec![
                    "java".into(),
                    "-cp".into(),
                    path(""),
                    "Orders".into(),
                    orders.clone(),
                    stock.clone(),
                ],
            ),
            ("front", vec!["python3".into(), path("front.py"), front, stock, prices, orders]),
        ];
        let services = services.map(|(name, words)| started(name, &words, folder.path()));
        for port in ports {
            let connects = || TcpStream::connect(("127.0.0.1", port)).is_ok();
            wait_until("a service", Duration::from_secs(30), connects).unwrap();
        }
        let [stock, _, _, front] = ports;
        Self { agent, collector, front, stock, _services: services.into(), folder }
    }

    fn get(&self, question: &str) -> Value {
        http::get(self.collector.port, question).unwrap().json().unwrap()
    }

    /// The ids of traces in which a service takes part, once there are so many.
    #[track_caller]
    fn traces(&self, service: &str, count: usize) -> Vec<String> {
        let path = format!("/api/v1/traces?service={service}&limit=500&from=now-15m&until=now");
        let ids = || -> Vec<String> {
            let answer = self.get(&path);
            let traces = answer["traces"].as_array().unwrap().iter();
            traces.map(|trace| trace["trace_id"].as_str().unwrap().to_owned()).collect()
        };
        let waited = wait_until("the traces", Duration::from_secs(20), || ids().len() >= count);
        assert!(
            waited.is_ok(),
            "{service}: {} of {count} traces: {}",
            ids().len(),
            self.agent.metrics().unwrap()
        );
        ids()
    }

    /// A trace, once no span in it is without its parent: what ends later comes later.
    fn trace(&self, id: &str) -> Trace {
        let whole = || self.trace_so_far(id).paths().iter().all(|path| !path.contains(MISSING));
        // One that stays so is the caller's to complain of.
        let _ = wait_until("a whole trace", Duration::from_secs(10), whole);
        self.trace_so_far(id)
    }

    fn trace_so_far(&self, id: &str) -> Trace {
        Trace(self.get(&format!("/api/v1/traces/{id}"))["spans"].as_array().unwrap().clone())
    }

    fn stop(mut self) {
        self.agent.process.stop(libc::SIGTERM).unwrap();
    }
}

fn started(name: &str, words: &[String], folder: &Path) -> Process {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("OTEL_SERVICE_NAME", name);
    Process::start(command, &folder.join(format!("{name}.log"))).unwrap()
}

/// A parent that is not there.
const MISSING: &str = "(missing)";

struct Trace(Vec<Value>);

impl Trace {
    /// Each span as `service kind name`, under its parents: outermost first, `;` between.
    fn paths(&self) -> Vec<String> {
        let by_id: HashMap<&str, &Value> =
            self.0.iter().map(|span| (span["span_id"].as_str().unwrap(), span)).collect();
        let mut paths: Vec<String> = self
            .0
            .iter()
            .map(|span| {
                let mut path = vec![shown(span)];
                let mut at = span;
                while let Some(parent) = at["parent_span_id"].as_str() {
                    let Some(parent) = by_id.get(parent) else {
                        path.push(MISSING.to_owned());
                        break;
                    };
                    path.push(shown(parent));
                    at = parent;
                }
                path.reverse();
                path.join("; ")
            })
            .collect();
        paths.sort();
        paths
    }
}

fn shown(span: &Value) -> String {
    let text = |key: &str| span[key].as_str().unwrap().to_owned();
    format!("{} {} {}", text("service"), text("kind"), text("name"))
}

fn attribute<'a>(span: &'a Value, name: &str) -> Option<&'a Value> {
    let attributes = span["attributes"].as_array()?;
    attributes.iter().find(|one| one["key"] == name).map(|one| &one["value"])
}

#[test]
fn every_request_of_a_shop_is_under_the_one_that_caused_it() {
    let shop = Shop::start();
    let client = std::thread::spawn({
        let front = shop.front;
        move || {
            for number in 1..=20 {
                let path = format!("/products/{}", 100 + number);
                assert_eq!(http::get(front, &path).unwrap().status, 200);
                let path = format!("/checkout/{}", 100 + number);
                // Those that end in 7 are sold out.
                let expected = if number % 10 == 7 { 502 } else { 200 };
                assert_eq!(http::get(front, &path).unwrap().status, expected);
            }
        }
    });
    client.join().unwrap();
    let ids = shop.traces("front", 40);
    assert_eq!(ids.len(), 40);
    let mut kinds: HashMap<Vec<String>, usize> = HashMap::new();
    for id in &ids {
        *kinds.entry(shop.trace(id).paths()).or_default() += 1;
    }
    let root = format!("{} client GET", own_name());
    let product = format!("{root}; front server GET /products/{{id}}");
    let checkout = format!("{root}; front server GET /checkout/{{id}}");
    let expected_product = [
        root.clone(),
        product.clone(),
        format!("{product}; front client GET"),
        format!("{product}; front client GET"),
        format!("{product}; front client GET; prices server GET /prices/{{id}}"),
        format!("{product}; front client GET; stock server GET /stock/{{id}}"),
    ];
    let expected_checkout = [
        root,
        checkout.clone(),
        format!("{checkout}; front client POST"),
        format!("{checkout}; front client POST; orders server POST /orders/{{id}}"),
        format!(
            "{checkout}; front client POST; orders server POST /orders/{{id}}; orders client GET"
        ),
        format!(
            "{checkout}; front client POST; orders server POST /orders/{{id}}; orders client GET; stock server GET /stock/{{id}}"
        ),
    ];
    let sorted = |mut paths: Vec<String>| {
        paths.sort();
        paths
    };
    assert_eq!(kinds.get(&sorted(expected_product.into())), Some(&20), "{kinds:#?}");
    assert_eq!(kinds.get(&sorted(expected_checkout.into())), Some(&20), "{kinds:#?}");
    failures_are_errors(&shop, &ids);
    counts_are_exact(&shop);
    shop.stop();
}

/// What the client of these tests is called.
fn own_name() -> String {
    let path = std::env::current_exe().unwrap();
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The two orders that fail are errors at both ends, and nothing else is.
#[track_caller]
fn failures_are_errors(shop: &Shop, ids: &[String]) {
    let spans: Vec<Value> = ids.iter().flat_map(|id| shop.trace(id).0).collect();
    let failed = spans.iter().filter(|span| span["status"] == "error");
    let mut names: Vec<String> = failed.map(shown).collect();
    names.sort();
    let both = |name: &str| vec![name.to_owned(); 2];
    let own = format!("{} client GET", own_name());
    let mut expected = [
        both(&own),
        both("front client POST"),
        both("front server GET /checkout/{id}"),
        both("orders server POST /orders/{id}"),
    ]
    .concat();
    expected.sort();
    assert_eq!(names, expected);
    let sold_out = spans
        .iter()
        .find(|span| shown(span) == "orders server POST /orders/{id}" && span["status"] == "error");
    assert_eq!(attribute(sold_out.unwrap(), "error.type"), Some(&Value::from("503")));
}

/// The metrics that came by OTLP, and the pairs of services.
#[track_caller]
fn counts_are_exact(shop: &Shop) {
    let requests = || {
        let answer = shop.get("/api/v1/services/routes?service=front&from=now-15m&until=now");
        let routes = answer["routes"].as_array().unwrap().iter();
        routes
            .map(|route| {
                (
                    route["route"].as_str().unwrap_or_default().to_owned(),
                    route["requests"].as_f64().unwrap(),
                )
            })
            .collect::<HashMap<_, _>>()
    };
    let all = || {
        ["/products/{id}", "/checkout/{id}"]
            .iter()
            .all(|route| requests().get(*route) == Some(&20.0))
    };
    let waited = wait_until("the metrics", Duration::from_secs(30), all);
    assert!(waited.is_ok(), "{:?}", requests());
    let map = shop.get("/api/v1/servicemap?from=now-15m&until=now");
    let edge = |from: &str, to: &str| {
        let edges = map["edges"].as_array().unwrap().iter();
        let mut found = edges.filter(|edge| edge["from"] == from && edge["to"] == to);
        found.next().and_then(|edge| edge["requests"].as_f64())
    };
    for (from, to) in
        [("front", "stock"), ("front", "prices"), ("front", "orders"), ("orders", "stock")]
    {
        assert_eq!(edge(from, to), Some(20.0), "{from} to {to}: {map:#}");
    }
}

/// A request that many are under way beside, through programs with one thread for all of them, or
/// threads for none: a parent is right, or there is none.
#[test]
fn no_request_is_under_one_that_did_not_cause_it() {
    const REQUESTS: usize = 400;
    let shop = Shop::start();
    let folder = shop.folder.path();
    let proxy = free_port().unwrap();
    let at = folder.display();
    let configuration = format!(
        "daemon off; worker_processes 1; pid {at}/pid; events {{ worker_connections 256; }}
         http {{ access_log off; client_body_temp_path {at}/1; proxy_temp_path {at}/2; fastcgi_temp_path {at}/3;
                 uwsgi_temp_path {at}/4; scgi_temp_path {at}/5;
                 upstream stock {{ server 127.0.0.1:{}; keepalive 8; }}
                 server {{ listen 127.0.0.1:{proxy};
                           location / {{ proxy_pass http://stock; proxy_http_version 1.1;
                                         proxy_set_header Connection \"\"; }} }} }}",
        shop.stock
    );
    std::fs::write(folder.join("conf"), configuration).unwrap();
    let mut nginx = Command::new("/usr/sbin/nginx");
    nginx.arg("-c").arg(folder.join("conf")).arg("-e").arg(folder.join("errors"));
    let mut nginx = Process::start(nginx, &folder.join("nginx.log")).unwrap();
    let connects = || TcpStream::connect(("127.0.0.1", proxy)).is_ok();
    wait_until("nginx", Duration::from_secs(20), connects).unwrap();
    let clients: Vec<_> = (0..8)
        .map(|client| {
            std::thread::spawn(move || {
                for number in 0..REQUESTS / 8 {
                    // Slowly: more spans a second would not all be kept.
                    std::thread::sleep(Duration::from_millis(60));
                    let path = format!("/stock/{}", 100_000 + client * 1000 + number);
                    assert_eq!(http::get(proxy, &path).unwrap().status, 200);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let ids = shop.traces("nginx", REQUESTS);
    let (mut right, mut roots) = (0, 0);
    for id in &ids {
        let spans = shop.trace(id).0;
        let path = |span: &Value| {
            let value = attribute(span, "url.path").or_else(|| attribute(span, "url.full"));
            let text = value.and_then(Value::as_str).unwrap_or_default();
            text.rsplit('/').next().unwrap_or_default().to_owned()
        };
        for span in &spans {
            let parent = span["parent_span_id"].as_str();
            let parent = spans.iter().find(|one| one["span_id"].as_str() == parent);
            match parent.filter(|_| span["parent_span_id"].is_string()) {
                Some(parent) => {
                    assert_eq!(path(span), path(parent), "{} under {}", shown(span), shown(parent));
                    right += 1;
                }
                None => roots += 1,
            }
        }
    }
    println!("{} traces: {right} spans under what caused them, {roots} at the root", ids.len());
    assert!(right >= REQUESTS, "{right}");
    // Killed, it would leave its worker behind.
    nginx.stop(libc::SIGTERM).unwrap();
    shop.stop();
}

/// What must not leave the host, in every place where a request has room for it.
#[test]
fn no_secret_leaves_the_agent() {
    const SECRET: &str = "hunter2-is-secret";
    let shop = Shop::start();
    for number in 0..5 {
        let path = format!("/products/{number}?token={SECRET}&password={SECRET}#{SECRET}");
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-u", &format!("user:{SECRET}")]);
        curl.args(["-H", &format!("Cookie: session={SECRET}")]);
        curl.args(["-H", &format!("X-Api-Key: {SECRET}")]);
        curl.args(["-H", &format!("Proxy-Authorization: {SECRET}")]);
        curl.args(["-d", &format!("password={SECRET}")]).args(["-X", "GET"]);
        curl.arg(format!("http://127.0.0.1:{}{path}", shop.front));
        assert!(curl.status().unwrap().success());
    }
    let ids = shop.traces("front", 5);
    let collector = shop.collector.port;
    for id in &ids {
        let text = http::get(collector, &format!("/api/v1/traces/{id}")).unwrap().text();
        assert!(text.contains("/products/") && !text.contains(SECRET), "{text}");
    }
    assert!(!shop.agent.metrics().unwrap().contains(SECRET));
    assert!(!shop.agent.process.output().contains(SECRET));
    // What was taken in is on the disk as it came, before it is packed.
    let mut bytes = 0;
    let mut folders = vec![shop.folder.path().join("data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let content = std::fs::read(entry.path()).unwrap_or_default();
            bytes += content.len();
            let found = content.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes());
            assert!(!found, "{}", entry.path().display());
        }
    }
    assert!(bytes > 10_000, "{bytes} bytes looked through");
    shop.stop();
}
