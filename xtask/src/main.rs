//! The project's own tasks, one file per task. Nothing here is built into the two binaries.

mod bench;
mod browser;
mod command;
mod demo;
mod packages;
mod place;
mod process;
mod rights;
mod setup;
mod stack;
mod test;
mod tidy;
mod vm;
mod workloads;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask TASK

  setup                     install what compiling the BPF programs needs (once)
  demo  [--port N] [--data DIR]
                            build, profile this host, and serve the flame graph until Ctrl-C
  test  [unit|e2e|browser|vm]
                            run every test, or one kind (root: the agent loads BPF programs)
  vm    [KERNEL...]         boot Debian's kernels in QEMU and run the agent in each
  tidy                      check the layout rules that no compiler checks
  bench [agent|stacks|tables|requests|collector]
                            measure costs, printed as ratios";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    let done = match task {
        "setup" => setup::run(rest),
        "demo" => demo::run(rest),
        "test" => test::run(rest),
        "vm" => vm::run(rest),
        "tidy" => tidy::run(rest),
        "bench" => bench::run(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("no task {task:?}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {task}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
