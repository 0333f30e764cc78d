//! The command as a whole: what it leaves behind, and how it fails.

use ondisk_fs::{Access, FileSystem};

use super::*;

fn args(dir: &Path) -> Args {
    Args { dir: dir.to_owned(), json: false, samples: Some(10) }
}

fn kind(error: &ProbeError) -> io::ErrorKind {
    match error {
        ProbeError::Step { cause, .. } | ProbeError::Threads { cause, .. } => cause.kind(),
        ProbeError::Log(LogError::Io { source, .. } | LogError::Full { source, .. }) => {
            source.kind()
        }
        ProbeError::Log(other) => panic!("{other}"),
    }
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
    assert_eq!(kind(&missing), io::ErrorKind::NotFound);
    assert!(sentence(&missing).starts_with("cannot make files here: "), "{missing}");
    let file = dir.path().join("file");
    OsFs.create_new(&file).unwrap().write_all_at(b"kept", 0).unwrap();
    assert_eq!(kind(&probe(&args(&file)).unwrap_err()), io::ErrorKind::NotADirectory);
    assert_eq!(OsFs.open(&file, Access::Read).unwrap().size().unwrap(), 4);
}
