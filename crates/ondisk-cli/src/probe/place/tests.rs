//! The kernel's texts, as they were seen.

use super::*;

const MOUNTINFO: &str = "\
27 1 253:0 / / rw,relatime - ext4 /dev/vda rw,barrier=0
25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24684084k
90 27 0:50 /sub /mnt/pool rw,noatime shared:7 master:1 - btrfs /dev/vdb rw,space_cache=v2
91 27 7:0 / /mnt/two\\040words\\134 rw - ext4 /dev/loop0 rw
92 27 7:1 / /mnt/two\\040words\\134 rw - xfs /dev/loop1 rw
torn line
";

fn find(path: &str) -> Mount {
    Mount::find(MOUNTINFO, Path::new(path)).unwrap()
}

#[test]
fn the_innermost_mount_is_found() {
    assert_eq!(find("/").file_system, "ext4");
    assert_eq!(find("/dev").file_system, "ext4");
    assert_eq!(find("/dev/shm").file_system, "tmpfs");
    assert_eq!(find("/dev/shm/a/b").file_system, "tmpfs");
    assert_eq!(find("/dev/shmall").file_system, "ext4", "names are compared, not letters");
    let pool = find("/mnt/pool/x");
    assert_eq!((pool.file_system.as_str(), pool.source.as_str()), ("btrfs", "/dev/vdb"));
    assert_eq!(pool.device, "0:50");
}

#[test]
fn of_two_mounts_at_one_place_the_last_counts_and_blanks_are_read() {
    let mount = find("/mnt/two words\\/x");
    assert_eq!(mount.file_system, "xfs");
    assert_eq!(mount.mount_point, Path::new("/mnt/two words\\"));
}

#[test]
fn options_are_whole_words_of_both_lists() {
    assert!(find("/").has_option("barrier=0"));
    assert!(find("/").has_option("relatime"));
    assert!(!find("/").has_option("barrier"));
}

#[test]
fn a_broken_escape_stays_as_it_is() {
    assert_eq!(unescape("a\\040b"), "a b");
    assert_eq!(unescape("a\\04"), "a\\04");
    assert_eq!(unescape("a\\999b\\"), "a\\999b\\");
    assert_eq!(unescape("\\303\\274"), "\\303\\274", "no half letters");
}

#[test]
fn a_drive_is_taken_at_its_word_and_no_further() {
    assert_eq!(parse_cache("write back\n"), Some(Cache::Volatile));
    assert_eq!(parse_cache("write through\n"), Some(Cache::None));
    assert_eq!(parse_cache("none\n"), None);
    assert_eq!(
        (parse_flag("1\n"), parse_flag("0\n"), parse_flag("")),
        (Some(true), Some(false), None)
    );
    assert_eq!(has_hypervisor("flags\t\t: fpu hypervisor sse\n"), Some(true));
    assert_eq!(has_hypervisor("flags\t\t: fpu sse\n"), Some(false));
    assert_eq!(has_hypervisor("Features : fp asimd\n"), None);
}
