//! The shop of `tests/workloads/services`: HTTP services in several languages that ask one another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::newer;
use crate::command::{command, run};
use crate::place;

/// What its services are written in, by the programs that build or run them.
const LANGUAGES: [&str; 4] = ["go", "javac", "node", "python3"];

/// Its services and their customers, as names of what is started.
pub(crate) const NAMES: [&str; 5] = ["stock", "prices", "orders", "front", "customers"];

/// Languages that are not here.
pub(crate) fn missing() -> Vec<&'static str> {
    LANGUAGES.into_iter().filter(|program| place::program(program).is_none()).collect()
}

/// Builds what is to be built, and puts all of it into a folder of `into`.
pub(crate) fn build(into: &Path) -> Result<PathBuf> {
    let sources = place::workspace().join("tests/workloads/services");
    let folder = into.join("services");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let source = sources.join("stock.go");
    if !newer(&folder.join("stock"), &source) {
        run(command("go", ["build", "-o"]).arg(folder.join("stock")).arg(&source))?;
    }
    let source = sources.join("Orders.java");
    if !newer(&folder.join("Orders.class"), &source) {
        run(command("javac", ["-d"]).arg(&folder).arg(&source))?;
    }
    for script in ["front.py", "customers.py", "prices.mjs"] {
        fs::copy(sources.join(script), folder.join(script))
            .with_context(|| format!("copy {script}"))?;
    }
    Ok(folder)
}

/// What starts one of [`NAMES`], on the ports of stock, prices, orders and front.
pub(crate) fn start(folder: &Path, name: &str, ports: [u16; 4]) -> Command {
    let [stock, prices, orders, front] = ports.map(|port| port.to_string());
    let in_folder = |file: &str| folder.join(file);
    let mut start = match name {
        "stock" => Command::new(in_folder("stock")),
        "prices" => Command::new("node"),
        "orders" => command("java", ["-XX:+UseSerialGC", "-Xmx64m", "-cp"]),
        _ => Command::new("python3"),
    };
    match name {
        "stock" => start.arg(stock),
        "prices" => start.arg(in_folder("prices.mjs")).arg(prices),
        "orders" => start.arg(folder).args(["Orders", &orders, &stock]),
        "front" => start.arg(in_folder("front.py")).args([front, stock, prices, orders]),
        _ => start.arg(in_folder("customers.py")).args([&*front, "20"]),
    };
    start.env("OTEL_SERVICE_NAME", name);
    start
}
