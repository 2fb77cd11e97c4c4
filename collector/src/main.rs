//! The `sonde-collector` command.

fn main() {}
