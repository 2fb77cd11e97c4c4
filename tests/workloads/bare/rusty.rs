//! A chain of twelve in Rust, built without frame pointers. Says what it used as chains.c does.
//! Usage: rusty SECONDS

use std::hint::black_box;
use std::time::{Duration, Instant};

#[inline(never)]
fn spin_rust(mut seed: u64) -> u64 {
    // Calls of the library would be inlined frames of the leaf.
    let mut left = 3_000_000_u32;
    while left > 0 {
        seed = seed * 6_364_136_223_846_793_005 + 1;
        left -= 1;
    }
    seed
}

macro_rules! links {
    ($($name:ident -> $next:ident),*) => {
        $(#[inline(never)]
        fn $name(seed: u64) -> u64 {
            $next(seed ^ 1) + 1
        })*
    };
}

links!(rust_1 -> rust_2, rust_2 -> rust_3, rust_3 -> rust_4, rust_4 -> rust_5, rust_5 -> rust_6,
       rust_6 -> rust_7, rust_7 -> rust_8, rust_8 -> rust_9, rust_9 -> rust_10,
       rust_10 -> rust_11, rust_11 -> spin_rust);

fn main() {
    let seconds = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(5);
    let begin = Instant::now();
    let mut seed = 1;
    while begin.elapsed() < Duration::from_secs(seconds) {
        seed = rust_1(seed);
    }
    black_box(seed);
    let links: Vec<String> = (1..12).map(|number| format!("rusty::rust_{number}")).collect();
    println!("SHARE rust 1 rusty::main;{};rusty::spin_rust", links.join(";"));
}
