//! What the system says of the process, under the names that every Prometheus client uses.

use std::fs;
use std::path::Path;

use metrics::{counter, gauge};

/// Clock ticks a second of `/proc`: the same on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes of a page where we run.
const PAGE_BYTES: f64 = 4096.0;

/// Sets the gauges from `/proc`. What cannot be read is left out. Reads files: not for a thread that serves requests.
pub fn publish_gauges() {
    gauge!("feature_flags_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    if let Ok(stat) = fs::read_to_string("/proc/self/stat")
        && let Some(fields) = fields(&stat)
    {
        // Whole seconds only, because it is a counter.
        let ticks = number(&fields, UTIME) + number(&fields, STIME);
        counter!("process_cpu_seconds_total").absolute((ticks / TICKS_PER_SECOND) as u64);
        gauge!("process_resident_memory_bytes").set(number(&fields, RSS) * PAGE_BYTES);
        gauge!("process_threads").set(number(&fields, THREADS));
        if let Some(boot) = boot_seconds() {
            let start = boot + number(&fields, START) / TICKS_PER_SECOND;
            gauge!("process_start_time_seconds").set(start);
        }
    }
    if let Ok(open) = fs::read_dir(Path::new("/proc/self/fd")) {
        gauge!("process_open_fds").set(open.count() as f64);
    }
}

// Positions behind the name of the program, in parentheses, which may hold blanks; proc(5) counts from 1, and 3 is the first.
const UTIME: usize = 14 - 3;
const STIME: usize = 15 - 3;
const THREADS: usize = 20 - 3;
const START: usize = 22 - 3;
const RSS: usize = 24 - 3;

fn fields(stat: &str) -> Option<Vec<&str>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace().collect())
}

fn number(fields: &[&str], at: usize) -> f64 {
    fields
        .get(at)
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

fn boot_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_s_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 110 220 13 14 15 16 5 18 1900 20 2100";
        let fields = fields(stat).expect("a name in parentheses");
        assert_eq!((number(&fields, UTIME), number(&fields, STIME)), (110.0, 220.0));
        assert_eq!((number(&fields, THREADS), number(&fields, START)), (5.0, 1900.0));
        assert_eq!(number(&fields, RSS), 2100.0);
        assert!(boot_seconds().is_some_and(|boot| boot > 1e9));
    }
}
