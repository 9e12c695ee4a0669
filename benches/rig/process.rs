//! What the kernel tells of a process.

use std::fs::read_to_string;

/// Resident memory now and at its peak, in MiB.
pub fn memory(process: u32) -> (f64, f64) {
    let status = read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let kib = |name: &str| -> f64 {
        let line = status.lines().find(|line| line.starts_with(name)).expect("the kernel tells");
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
    };
    (kib("VmRSS:") / 1024.0, kib("VmHWM:") / 1024.0)
}

/// Processor seconds used so far.
pub fn cpu(process: u32) -> f64 {
    let stat = read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("a name in brackets").split(' ').collect();
    let ticks = |i: usize| -> f64 { fields[i].parse().expect("a number") };
    (ticks(11) + ticks(12)) / 100.0
}
