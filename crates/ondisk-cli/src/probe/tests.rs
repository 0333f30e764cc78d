//! The command as a whole: what it leaves behind, and how it fails.

use ondisk_fs::{Access, FileSystem};

use super::*;

fn args(dir: &Path) -> Args {
    Args { dir: dir.to_owned(), json: false, samples: Some(10) }
}

#[test]
fn a_probe_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    probe(&args(dir.path())).unwrap();
    assert_eq!(OsFs.list(dir.path()).unwrap(), []);
}

#[test]
fn where_nothing_can_be_written_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let missing = probe(&args(&dir.path().join("missing"))).unwrap_err();
    assert_eq!(missing.cause.kind(), io::ErrorKind::NotFound);
    assert!(missing.to_string().starts_with("cannot make files here: "), "{missing}");
    let file = dir.path().join("file");
    OsFs.create_new(&file).unwrap().write_all_at(b"kept", 0).unwrap();
    assert_eq!(probe(&args(&file)).unwrap_err().cause.kind(), io::ErrorKind::NotADirectory);
    assert_eq!(OsFs.open(&file, Access::Read).unwrap().size().unwrap(), 4);
}
