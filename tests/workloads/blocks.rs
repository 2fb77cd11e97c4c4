//! Two Rust functions in two modules that share the CPU 75 : 25 by construction. Usage: blocks
//! SECONDS; at the end it prints its own CPU time in milliseconds.

use std::hint::black_box;
use std::time::{Duration, Instant};

#[inline(always)]
fn unit(mut seed: u64) -> u64 {
    for _ in 0..400_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    }
    seed
}

mod large {
    #[inline(never)]
    pub fn three_quarters(seed: u64) -> u64 {
        (0..3).fold(seed, |seed, _| super::unit(seed))
    }
}

mod small {
    pub struct Worker;

    impl Worker {
        #[inline(never)]
        pub fn one_quarter(&self, seed: u64) -> u64 {
            super::unit(seed)
        }
    }
}

#[inline(never)]
fn round(seed: u64) -> u64 {
    let seed = black_box(large::three_quarters(black_box(seed)));
    black_box(small::Worker.one_quarter(seed))
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(5);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut seed = 1;
    while Instant::now() < until {
        seed = round(seed);
    }
    black_box(seed);
    println!("{}", cpu_ms());
}

/// User and system time of this process, from its own `stat` line (fields 14 and 15, 10 ms ticks).
fn cpu_ms() -> u64 {
    let line = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = line.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * 10
}
