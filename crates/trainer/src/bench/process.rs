//! What the system tells of this process: Linux does in `/proc`, others do not.

use std::fs;

/// The most memory that the process has had at once.
pub(super) fn peak_rss_bytes() -> Option<u64> {
    peak_of(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Seconds that the process's threads of now have computed, in their own code and in the kernel.
/// Those of threads that have ended are not among them.
pub(super) fn cpu_seconds() -> Option<f64> {
    let mut nanoseconds: u64 = 0;
    for task in fs::read_dir("/proc/self/task").ok()? {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else { continue };
        nanoseconds = nanoseconds.saturating_add(time_of(&text)?);
    }
    #[expect(clippy::cast_precision_loss, reason = "2^53 nanoseconds are a hundred days")]
    let seconds = nanoseconds as f64 / 1e9;
    Some(seconds)
}

/// `VmHWM:    123 kB` among other lines.
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The first of three numbers: nanoseconds on a core.
fn time_of(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_writes_is_read() {
        let status = "Name:\tautopipe\nVmPeak:\t  900 kB\nVmHWM:\t  123 kB\nVmRSS:\t  100 kB\n";
        assert_eq!(peak_of(status), Some(123 * 1024));
        assert_eq!(time_of("1922507 25 1\n"), Some(1_922_507));
    }

    #[test]
    fn what_nobody_writes_is_no_figure() {
        for status in ["", "VmHWM:", "VmHWM: 1 MB", "VmHWM: x kB", "VmHWM: 18446744073709551615 kB"]
        {
            assert_eq!(peak_of(status), None, "{status}");
        }
        assert_eq!((time_of(""), time_of("-1 0 0")), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_has_memory_and_has_computed() {
        assert!(peak_rss_bytes().unwrap() > 100_000);
        assert!(cpu_seconds().unwrap() > 0.0);
    }
}
