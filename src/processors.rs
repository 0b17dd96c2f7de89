//! How many threads the process may keep busy: its processors, cut by the quota of its control groups.
//!
//! Knows versions 1 and 2 of control groups. The standard library reads them too; here the files can be any folder's, and
//! threads of the runtime and of the pool are divided so that together they stay within the quota.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;

use crate::config::Config;

/// Threads of this process: processors that it may run on, quota rounded down, at least one.
#[must_use]
pub fn allowed() -> usize {
    let processors = available_parallelism().map_or(1, NonZero::get);
    quota(Path::new("/")).map_or(processors, |quota| processors.min(whole(quota)))
}

fn whole(quota: f64) -> usize {
    (quota as usize).max(1)
}

/// Threads by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// Of the runtime, which answers requests.
    pub runtime: usize,
    /// Of the pool that evaluates one request on several threads; 0: there is none.
    pub pool: usize,
}

impl Threads {
    /// Threads of a process with these settings.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let wants_pool = config.evaluation.parallel_threshold > 0;
        Self::divide(allowed(), config.server.worker_threads, wants_pool)
    }

    /// Divides what is allowed. `chosen`: threads of the runtime, 0 for as many as are left. A pool needs a processor of its own, so
    /// at one core there is none.
    #[must_use]
    pub fn divide(allowed: usize, chosen: usize, wants_pool: bool) -> Self {
        let allowed = allowed.max(1);
        let pool = match (wants_pool, chosen) {
            (false, _) => 0,
            (true, 0) => allowed / 2,
            (true, chosen) => allowed.saturating_sub(chosen),
        };
        let runtime = if chosen == 0 { allowed - pool } else { chosen };
        Self { runtime, pool }
    }
}

/// Processors' worth of time that the control groups of this process grant; the least of its own group and those above it.
/// `None`: no limit. `root`: where `proc` and `sys` are.
fn quota(root: &Path) -> Option<f64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = root.join("sys/fs/cgroup");
    groups
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            let path = path.trim_start_matches('/');
            if controllers.is_empty() {
                return least(&mounts, path, unified);
            }
            let has_cpu = controllers.split(',').any(|controller| controller == "cpu");
            // Mounted under either name; the same files.
            has_cpu.then(|| {
                [controllers, "cpu"]
                    .iter()
                    .find_map(|name| least(&mounts.join(name), path, version_1))
            })?
        })
        .reduce(f64::min)
}

/// The least quota of a group and those above it. Inside a container the group's path may not exist: then the mount is the group.
fn least(mount: &Path, path: &str, read: fn(&Path) -> Option<f64>) -> Option<f64> {
    let own = mount.join(path);
    own.ancestors()
        .take_while(|folder| folder.starts_with(mount))
        .filter_map(read)
        .reduce(f64::min)
}

/// `cpu.max`: quota or `max`, and period, microseconds.
fn unified(group: &Path) -> Option<f64> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let mut parts = text.split_ascii_whitespace();
    ratio(parts.next()?, parts.next()?)
}

fn version_1(group: &Path) -> Option<f64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    ratio(
        read("cpu.cfs_quota_us")?.trim(),
        read("cpu.cfs_period_us")?.trim(),
    )
}

/// A quota of -1 or `max` is none.
fn ratio(quota: &str, period: &str) -> Option<f64> {
    let quota: u32 = quota.parse().ok()?;
    let period: u32 = period.parse().ok()?;
    (quota > 0 && period > 0).then(|| f64::from(quota) / f64::from(period))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        root
    }

    #[test]
    fn the_least_quota_of_the_groups_above_counts() {
        let root = tree(&[
            ("proc/self/cgroup", "0::/kubepods/pod1/main\n"),
            ("sys/fs/cgroup/kubepods/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/kubepods/pod1/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/kubepods/pod1/main/cpu.max", "400000 100000\n"),
        ]);
        assert_eq!(quota(root.path()), Some(1.5));
        assert_eq!(whole(1.5), 1);
        assert_eq!(whole(0.2), 1);
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        let inside = tree(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/cpu.max", "200000 100000\n"),
        ]);
        assert_eq!(quota(inside.path()), Some(2.0));
        let outside = tree(&[
            ("proc/self/cgroup", "0::/docker/1234\n"),
            ("sys/fs/cgroup/cpu.max", "300000 100000\n"),
        ]);
        assert_eq!(quota(outside.path()), Some(3.0));
    }

    #[test]
    fn version_1_is_read_too() {
        let root = tree(&[
            ("proc/self/cgroup", "5:memory:/a\n4:cpu,cpuacct:/a\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(quota(root.path()), Some(0.5));
    }

    #[test]
    fn without_a_limit_or_without_groups_there_is_no_quota() {
        let unlimited = tree(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/cpu.max", "max 100000\n"),
        ]);
        assert_eq!(quota(unlimited.path()), None);
        assert_eq!(quota(tree(&[]).path()), None);
        let broken = tree(&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", "x\n")]);
        assert_eq!(quota(broken.path()), None);
    }

    #[test]
    fn runtime_and_pool_stay_within_what_is_allowed() {
        let divide = |allowed, chosen, wants_pool| {
            let threads = Threads::divide(allowed, chosen, wants_pool);
            (threads.runtime, threads.pool)
        };
        assert_eq!(divide(8, 0, false), (8, 0));
        assert_eq!(divide(8, 0, true), (4, 4));
        assert_eq!(divide(3, 0, true), (2, 1));
        assert_eq!(divide(1, 0, true), (1, 0));
        assert_eq!(divide(0, 0, true), (1, 0));
        assert_eq!(divide(4, 3, true), (3, 1));
        assert_eq!(divide(2, 2, true), (2, 0));
        // More than allowed is what was asked for; the pool does not add to it.
        assert_eq!(divide(2, 6, true), (6, 0));
    }
}
