//! Sonde's agent: the stages of its pipeline, in the order in which data passes them. The binary is
//! a thin shell around this library, which benches and fuzz targets use too.

pub mod aggregate;
pub mod commands;
pub mod config;
pub mod encode;
pub mod export;
pub mod http;
pub mod kernel;
pub mod pipeline;
pub mod process;
pub mod record;
pub mod requests;
pub mod saturation;
pub mod symbol;
pub mod syscalls;
pub mod telemetry;
pub mod unwind;
