//! Sonde's collector: takes profiles in, keeps them, and answers for them. The binary is a thin
//! shell around this library, which tests, benches and fuzz targets use too.

pub mod api;
pub mod config;
pub mod forward;
pub mod ingest;
pub mod metric;
pub mod profile;
pub mod query;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod trace;
pub mod ui;
