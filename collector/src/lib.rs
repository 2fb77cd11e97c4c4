//! Sonde's collector: takes profiles in, keeps them, and answers for them. The binary is a thin
//! shell around this library, which tests, benches and fuzz targets use too.

pub mod ingest;
pub mod profile;
pub mod query;
pub mod store;
