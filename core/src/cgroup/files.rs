//! Texts of `/proc` and of control groups.

use alloc::string::String;

/// The number after `key` in a file of lines such as `oom_kill 3`; `None` where there is none.
pub fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?.strip_prefix(' ')?;
        rest.trim().parse().ok()
    })
}

/// The number that is all of a file; `None` for `max` and for nonsense.
pub fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Whether `cgroup.events` says that a process is in the group or below it.
///
/// A file that cannot be read as such counts as populated: nobody is taken for gone by mistake.
pub fn is_populated(events: &str) -> bool {
    keyed(events, "populated") != Some(0)
}

/// Whether `cgroup.events` says that all in the group and below it stands still.
pub fn is_frozen(events: &str) -> bool {
    keyed(events, "frozen") == Some(1)
}

/// Whether `/proc/swaps` (proc(5)) names any place to swap to.
pub fn has_swap(swaps: &str) -> bool {
    swaps.lines().skip(1).any(|line| !line.trim().is_empty())
}

/// Where a process is in the hierarchy of cgroup v2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Its group's directory.
    pub directory: String,
}

impl Membership {
    /// Finds the directory from `/proc/self/cgroup` and `/proc/self/mountinfo` (proc(5)); `None`
    /// where cgroup v2 is not mounted, or only a part of it that does not hold the process.
    pub fn find(cgroup: &str, mountinfo: &str) -> Option<Membership> {
        let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
        // A process that is outside its cgroup namespace has a path of `/../…`.
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return None;
        }
        mountinfo.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            if after.split(' ').next() != Some("cgroup2") {
                return None;
            }
            let mut fields = before.split(' ').skip(3);
            let (root, point) = (fields.next()?, unescape(fields.next()?));
            let below = match root {
                "/" => path,
                root => {
                    path.strip_prefix(root).filter(|it| it.is_empty() || it.starts_with('/'))?
                }
            };
            let directory = match below.trim_end_matches('/') {
                "" => point,
                below => point + below,
            };
            Some(Membership { directory })
        })
    }
}

/// Spaces and the like are written as three octal digits there.
fn unescape(text: &str) -> String {
    let mut found = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        found.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (code, after.get(3..)) {
            (Some(code), Some(next)) if code.is_ascii() => {
                found.push(char::from(code));
                rest = next;
            }
            _ => {
                found.push('\\');
                rest = after;
            }
        }
    }
    found.push_str(rest);
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_a_whole_word() {
        let text = "low 0\noom 2\noom_kill 3\noom_group_kill 1\n";
        assert_eq!(keyed(text, "oom"), Some(2));
        assert_eq!(keyed(text, "oom_kill"), Some(3));
        assert_eq!((keyed(text, "max"), keyed("max max", "max")), (None, None));
        assert_eq!((number("17\n"), number("max\n")), (Some(17), None));
    }

    #[test]
    fn only_a_plain_zero_means_that_nobody_is_there() {
        assert!(!is_populated("populated 0\nfrozen 0\n"));
        assert!(is_populated("populated 1\nfrozen 0\n"));
        assert!(is_populated("") && is_populated("populated"));
        assert!(is_frozen("populated 1\nfrozen 1\n"));
        assert!(!is_frozen("populated 1\nfrozen 0\n") && !is_frozen(""));
    }

    #[test]
    fn swap_is_there_where_a_place_is_named() {
        let header = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert!(!has_swap("") && !has_swap(header));
        assert!(has_swap(&(String::from(header) + "/dev/zram0  partition\t1024\t0\t100\n")));
    }

    fn found(cgroup: &str, mountinfo: &str) -> Option<String> {
        Membership::find(cgroup, mountinfo).map(|it| it.directory)
    }

    #[test]
    fn the_groups_directory_is_found_below_where_the_hierarchy_is_mounted() {
        let whole = "29 23 0:25 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
        assert_eq!(
            found("0::/system.slice/satellite.service\n", whole).as_deref(),
            Some("/sys/fs/cgroup/system.slice/satellite.service")
        );
        assert_eq!(found("0::/\n", whole).as_deref(), Some("/sys/fs/cgroup"));
        let hybrid = "30 23 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 23 0:27 / /sys/fs/cgroup/unified\\040x rw shared:9 - cgroup2 none rw\n";
        assert_eq!(
            found("8:memory:/x\n0::/a\n", hybrid).as_deref(),
            Some("/sys/fs/cgroup/unified x/a")
        );
        let part = "29 23 0:25 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(found("0::/docker/abc/d\n", part).as_deref(), Some("/sys/fs/cgroup/d"));
        assert_eq!(found("0::/docker/abcd\n", part), None);
    }

    #[test]
    fn without_the_second_version_nothing_is_found() {
        assert_eq!(found("8:memory:/x\n", "29 23 0:25 / /c rw - cgroup2 none rw\n"), None);
        assert_eq!(found("0::/\n", "29 23 0:25 / /c rw - cgroup none rw,memory\n"), None);
        assert_eq!(found("0::/../x\n", "29 23 0:25 / /c rw - cgroup2 none rw\n"), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_to_be_read(text in "\\PC*", other in "[-0-9a-z/\\\\ :\n]*") {
            let _ = (keyed(&text, "oom"), number(&text), is_populated(&text));
            let _ = Membership::find(&text, &other);
            let _ = Membership::find("0::/a", &other);
            let _ = unescape(&other);
        }
    }
}
