//! `cargo xtask bench`: what Sonde costs, beside what others cost in the same run.

use anyhow::{Result, bail};

pub(crate) fn run(_args: &[String]) -> Result<()> {
    bail!("not yet")
}
