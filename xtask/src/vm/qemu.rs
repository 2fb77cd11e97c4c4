//! One boot in QEMU, by software emulation: it needs no rights and no hardware, and the guest has no
//! disk and no network, only an initramfs and a console.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::matrix::{Arch, Kernel};
use crate::command::{command, shown};

/// After this a guest counts as stuck: a boot with all checks takes some 20 s on two busy CPUs.
const LIMIT: Duration = Duration::from_secs(180);

/// Boots, waits until the machine is off, and returns what it wrote to its console.
pub(super) fn boot(of: &Kernel, kernel: &Path, initramfs: &Path) -> Result<String> {
    let mut qemu = machine(of);
    qemu.args(["-accel", "tcg", "-smp", "2", "-m", "1024"]);
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    qemu.args(["-serial", "stdio"]).arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
    qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = qemu.spawn().with_context(|| format!("start {}", shown(&qemu)))?;
    let mut errors = child.stderr.take().context("standard error was piped above")?;
    let mut console = child.stdout.take().context("standard output was piped above")?;
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = console.read_to_end(&mut bytes);
        read.map(|_| String::from_utf8_lossy(&bytes).into_owned())
    });
    let in_time = wait(&mut child)?;
    let text = reader.join().map_err(|_| anyhow::anyhow!("the console's reader panicked"))?;
    let mut text = text.context("read the guest's console")?;
    let _only_for_the_report = errors.read_to_string(&mut text);
    if !in_time {
        text.push_str(&format!("\nstopped after {} s\n", LIMIT.as_secs()));
    }
    Ok(text)
}

fn machine(kernel: &Kernel) -> Command {
    let (program, machine, console) = match kernel.arch {
        Arch::X86_64 => ("qemu-system-x86_64", "q35", "ttyS0"),
        Arch::Aarch64 => ("qemu-system-aarch64", "virt,gic-version=max", "ttyAMA0"),
    };
    // Two emulated CPUs make the kernel distrust the time stamp counter, and every look at the clock
    // would be ten times as slow.
    let line = format!("console={console} quiet panic=-1 tsc=reliable");
    command(program, ["-M", machine, "-cpu", kernel.processor(), "-append", &line])
}

/// Waits for the end; `false` if it did not come in time, and was made.
fn wait(child: &mut Child) -> Result<bool> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if child.try_wait().context("wait for QEMU")?.is_some() {
            return Ok(true);
        }
        if Instant::now() > deadline {
            child.kill().context("end QEMU")?;
            child.wait().context("wait for QEMU")?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
