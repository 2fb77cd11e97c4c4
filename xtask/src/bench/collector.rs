//! The collector under load: pushes over HTTP from the load generator of `tests/load`, and its files.

use anyhow::Result;

use crate::command::run as run_command;
use crate::place;

pub(super) fn run() -> Result<()> {
    super::build()?;
    let mut load = super::optimised(&["bench", "--workspace", "--profile=dev", "--bench=load"]);
    load.env("SONDE_COLLECTOR_BIN", place::built("sonde-collector")?);
    run_command(&mut load)?;
    // Merge latency is measured inside the process, where no network blurs it.
    run_command(&mut super::optimised(&[
        "bench",
        "--workspace",
        "--profile=dev",
        "--bench=store",
    ]))?;
    // A day of 200 services: some minutes, and some gigabytes below the temporary folder.
    run_command(&mut super::optimised(&["bench", "--workspace", "--profile=dev", "--bench=day"]))
}
