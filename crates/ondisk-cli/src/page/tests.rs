//! Where a page is written when nobody says where.
#![expect(clippy::disallowed_methods, reason = "these tests put files in the way")]

use super::*;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_page_of_before_is_replaced_and_what_may_not_be_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.html");
    let page = ondisk_player::page(&Data::Opening);
    for _ in 0..2 {
        assert_eq!(write_or_replace(&path, "p", &Data::Opening).unwrap(), path);
        assert_eq!(read(&path), page);
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let beside = write_or_replace(&path, "p", &Data::Opening).unwrap();
    assert_ne!(beside, path);
    assert_eq!((read(&beside), beside.parent()), (page, Some(dir.path())));
}

#[test]
fn a_link_that_waits_there_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("p.html"), dir.path().join("other"));
    std::fs::write(&other, "dear").unwrap();
    std::os::unix::fs::symlink(&other, &path).unwrap();
    write_or_replace(&path, "p", &Data::Opening).unwrap();
    assert_eq!(read(&other), "dear");
    assert!(!path.is_symlink());
}

#[test]
fn an_input_is_called_by_the_last_part_of_its_path() {
    for (name, told) in
        [("a/b.ondisk", "b.ondisk"), ("-", "standard input"), ("..", "standard input")]
    {
        assert_eq!(title(name), told);
    }
}
