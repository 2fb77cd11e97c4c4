//! The browser tests: collector, agent and workload started, and `tests/browser` pointed at them.

use std::process::Command;

use anyhow::Result;

use crate::command::{command, run};
use crate::place;
use crate::stack::{Layout, Stack, free_port, remove, scratch};
use crate::test::Count;

/// Installs the test driver from npm when the lock file is newer than what is installed.
pub(crate) fn install_driver() -> Result<()> {
    let folder = place::workspace().join("tests/browser");
    let changed = |path: &str| folder.join(path).metadata().and_then(|file| file.modified()).ok();
    let installed = changed("node_modules/.package-lock.json");
    if installed.is_none() || installed < changed("package-lock.json") {
        run(npm(&["ci", "--no-audit", "--no-fund"]).env_remove("NODE_ENV"))?;
    }
    Ok(())
}

/// The UI's model tests and type check, which need no browser.
pub(crate) fn test_model(count: &mut Count) -> Result<()> {
    count.run(&mut npm(&["test"]))
}

/// The tests in Chromium, against a live stack.
pub(crate) fn test_page(count: &mut Count) -> Result<()> {
    let folder = scratch("browser")?;
    let layout = Layout {
        port: free_port()?,
        data: folder.join("data"),
        logs: folder.join("logs"),
        services: false,
    };
    let stack = Stack::start(&layout, || true)?;
    // The page needs more than one point in time, and the workload a full round.
    std::thread::sleep(std::time::Duration::from_secs(12));
    let url = stack.url();
    let base = url.trim_end_matches("/profiles");
    let tested = count.run(npm(&["run", "browser"]).env("SONDE_URL", base));
    stack.stop()?;
    if tested.is_ok() {
        remove(&folder);
    } else {
        eprintln!("logs of collector and agent: {}", layout.logs.display());
    }
    tested
}

fn npm(words: &[&str]) -> Command {
    let mut npm = command("npm", words);
    npm.current_dir(place::workspace().join("tests/browser"));
    npm
}
