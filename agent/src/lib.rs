//! Sonde's agent: from kernel events to public profile formats, one module for each stage.

pub mod aggregate;
pub mod config;
pub mod encode;
pub mod export;
pub mod symbol;
pub mod telemetry;
