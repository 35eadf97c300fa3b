//! Whether the cores that a process may use are its own: whatever starts several may bind each to some.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Whether this process was bound to fewer cores than others of its machine may use. Where the system
/// does not say, it was not.
pub(super) fn are_own() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let read = |path: &Path| fs::read_to_string(path).ok();
    let own = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    match (own.and_then(cores), shared(&groups, &read)) {
        (Some(own), Some(shared)) => own.is_subset(&shared) && own.len() < shared.len(),
        (None, _) | (_, None) => false,
    }
}

/// The cores of the group of processes that this one is in, such as a container or a job; those of the
/// machine if it is in none.
fn shared(groups: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<BTreeSet<usize>> {
    let of_group = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "cpuset.cpus.effective"),
            _ if controllers.split(',').any(|name| name == "cpuset") => {
                ("/sys/fs/cgroup/cpuset", "cpuset.effective_cpus")
            }
            _ => return None,
        };
        // Those around it count where it says nothing of its own.
        let folders = Path::new(path.strip_prefix('/')?).ancestors();
        let mut texts = folders.filter_map(|folder| read(&Path::new(root).join(folder).join(file)));
        texts.find_map(|text| cores(&text))
    };
    let found = groups.lines().find_map(of_group);
    found.or_else(|| cores(&read(Path::new("/sys/devices/system/cpu/online"))?))
}

/// The numbers of a list such as `0-3,8`; `None` of what is no list or an empty one.
fn cores(list: &str) -> Option<BTreeSet<usize>> {
    let mut cores = BTreeSet::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        // No machine has more, and a wrong line is no reason to count for long.
        if last > 1 << 16 {
            return None;
        }
        cores.extend(first..=last);
    }
    (!cores.is_empty()).then_some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read() {
        let of = |list| cores(list).map(|cores| cores.into_iter().collect::<Vec<_>>());
        assert_eq!(of("\t0-2,8\n"), Some(vec![0, 1, 2, 8]));
        assert_eq!(of("5"), Some(vec![5]));
        for wrong in ["", "x", "1-", "0-99999999999", "1,,2"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_a_group_has_is_shared_out_and_not_what_the_machine_has() {
        let read = |path: &Path| {
            let text = match path.to_str()? {
                "/sys/fs/cgroup/job/cpuset.cpus.effective" => "4-7",
                "/sys/fs/cgroup/cpuset/old/cpuset.effective_cpus" => "2-3",
                "/sys/devices/system/cpu/online" => "0-15",
                _ => return None,
            };
            Some(text.to_owned())
        };
        let num = |groups| shared(groups, &read).map(|cores| cores.len());
        assert_eq!(num("0::/job/step\n"), Some(4), "of the group around it");
        assert_eq!(num("3:memory:/m\n2:cpu,cpuset:/old\n0::/\n"), Some(2));
        assert_eq!(num("0::/\n"), Some(16));
        assert_eq!(num(""), Some(16));
    }
}
