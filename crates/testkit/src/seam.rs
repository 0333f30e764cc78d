//! What every implementation of the seam must do, written once.
//!
//! Each clause of the contract is a function that is given a file system and an empty directory on
//! it. Where two implementations pass them all, code that was tested on one meets no surprise on
//! the other, in so far as no power is cut and nothing fails.

use std::io::{self, ErrorKind};
use std::path::Path;

use ondisk_fs::{
    Access, BLOCK, Blocks, FileSystem, Kind, LockError, LockMode, create_dir_durable,
    create_durable, replace_atomic, temp_path,
};

/// A clause of the contract: its name, and the check, which is given an empty directory.
pub type Clause = (&'static str, fn(&dyn FileSystem, &Path));

/// The contract.
pub const CLAUSES: &[Clause] = &[
    ("a file is created once", created_once),
    ("what is missing is not found", missing_is_not_found),
    ("a read ends where the file ends", read_ends_with_the_file),
    ("a write beyond the end leaves zeros", write_beyond_the_end),
    ("a length can be cut and extended", set_len_cuts_and_extends),
    ("allocated bytes are zeros", allocate_gives_zeros),
    ("a durable write is read back", durable_write_is_read_back),
    ("a misaligned durable write is refused", misaligned_is_refused),
    ("a handle for reading does not write", read_handle_does_not_write),
    ("a rename replaces", rename_replaces),
    ("a handle outlives its name", handle_outlives_its_name),
    ("a list is sorted and complete", list_is_sorted),
    ("only an empty directory is removed", remove_dir_wants_empty),
    ("a sync names a rung", sync_names_a_rung),
    ("a lock excludes", lock_excludes),
    ("a lock is given back", lock_is_given_back),
    ("the idioms leave what they say", idioms),
];

/// Runs every clause, each in a directory of its own under `root`.
///
/// # Panics
/// When a clause does not hold.
pub fn seam_contract(fs: &dyn FileSystem, root: &Path) {
    for (number, (_, check)) in CLAUSES.iter().enumerate() {
        let dir = root.join(format!("clause{number}"));
        fs.create_dir(&dir).expect("a directory for a clause");
        check(fs, &dir);
    }
}

/// The kind of error that a call must end with.
#[track_caller]
fn refused<T>(result: io::Result<T>, kind: ErrorKind) {
    match result {
        Ok(_) => panic!("it succeeded, and should be refused as {kind:?}"),
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
    }
}

/// All bytes of a file.
#[track_caller]
fn content(fs: &dyn FileSystem, path: &Path) -> Vec<u8> {
    let file = fs.open(path, Access::Read).expect("open");
    let mut bytes = vec![0; usize::try_from(file.size().expect("size")).expect("a small file")];
    file.read_exact_at(&mut bytes, 0).expect("read");
    bytes
}

/// Makes a file with some content, neither synced.
#[track_caller]
fn put(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) {
    fs.create_new(path).expect("create").write_all_at(bytes, 0).expect("write");
}

fn created_once(fs: &dyn FileSystem, dir: &Path) {
    let path = dir.join("f");
    put(fs, &path, b"first");
    refused(fs.create_new(&path), ErrorKind::AlreadyExists);
    assert_eq!(content(fs, &path), b"first");
    assert_eq!(fs.kind(&path).expect("kind"), Some(Kind::File));
    fs.create_dir(&dir.join("d")).expect("create a directory");
    refused(fs.create_dir(&dir.join("d")), ErrorKind::AlreadyExists);
    assert_eq!(fs.kind(&dir.join("d")).expect("kind"), Some(Kind::Dir));
}

fn missing_is_not_found(fs: &dyn FileSystem, dir: &Path) {
    let path = dir.join("missing");
    assert_eq!(fs.kind(&path).expect("kind"), None);
    refused(fs.open(&path, Access::Read), ErrorKind::NotFound);
    refused(fs.open(&path, Access::ReadWrite), ErrorKind::NotFound);
    refused(fs.remove(&path), ErrorKind::NotFound);
    refused(fs.remove_dir(&path), ErrorKind::NotFound);
    refused(fs.rename(&path, &dir.join("other")), ErrorKind::NotFound);
    refused(fs.list(&path), ErrorKind::NotFound);
    refused(fs.sync_dir(&path), ErrorKind::NotFound);
    refused(fs.create_new(&path.join("f")), ErrorKind::NotFound);
    refused(fs.create_dir(&path.join("d")), ErrorKind::NotFound);
}

fn read_ends_with_the_file(fs: &dyn FileSystem, dir: &Path) {
    let file = fs.create_new(&dir.join("f")).expect("create");
    file.write_all_at(b"abcdef", 0).expect("write");
    let mut buf = [b'-'; 8];
    assert_eq!(file.read_at(&mut buf, 4).expect("read"), 2);
    assert_eq!(&buf, b"ef------");
    assert_eq!(file.read_at(&mut buf, 6).expect("read at the end"), 0);
    assert_eq!(file.read_at(&mut buf, 1 << 40).expect("read far beyond the end"), 0);
    refused(file.read_exact_at(&mut buf, 0), ErrorKind::UnexpectedEof);
}

fn write_beyond_the_end(fs: &dyn FileSystem, dir: &Path) {
    let file = fs.create_new(&dir.join("f")).expect("create");
    file.write_all_at(b"a", 0).expect("write");
    file.write_all_at(b"z", 9000).expect("write");
    let mut wanted = vec![0; 9001];
    wanted[0] = b'a';
    wanted[9000] = b'z';
    assert_eq!(content(fs, &dir.join("f")), wanted);
}

fn set_len_cuts_and_extends(fs: &dyn FileSystem, dir: &Path) {
    let file = fs.create_new(&dir.join("f")).expect("create");
    file.write_all_at(b"abcdef", 0).expect("write");
    file.set_len(2).expect("cut");
    assert_eq!(file.size().expect("size"), 2);
    file.set_len(5).expect("extend");
    assert_eq!(content(fs, &dir.join("f")), b"ab\0\0\0");
}

fn allocate_gives_zeros(fs: &dyn FileSystem, dir: &Path) {
    let file = fs.create_new(&dir.join("f")).expect("create");
    file.write_all_at(b"ab", 0).expect("write");
    file.allocate(6).expect("allocate");
    assert_eq!(content(fs, &dir.join("f")), b"ab\0\0\0\0");
    file.allocate(1).expect("allocate less than is there");
    assert_eq!(file.size().expect("size"), 6, "allocate never shortens");
}

fn durable_write_is_read_back(fs: &dyn FileSystem, dir: &Path) {
    let file = fs.create_new(&dir.join("f")).expect("create");
    file.write_all_at(&[b'a'; 3 * BLOCK], 0).expect("write");
    let mut blocks = Blocks::zeroed(2);
    blocks.bytes_mut().fill(b'b');
    file.write_durable(blocks.blocks(0..2), 2 * BLOCK as u64).expect("write durably");
    let bytes = content(fs, &dir.join("f"));
    assert_eq!(bytes.len(), 4 * BLOCK, "the file grew by what was written beyond its end");
    assert!(bytes[..2 * BLOCK].iter().all(|byte| *byte == b'a'));
    assert!(bytes[2 * BLOCK..].iter().all(|byte| *byte == b'b'));
    // And the other way round: the page cache over a durable write.
    file.write_all_at(b"c", 2 * BLOCK as u64).expect("write");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 2 * BLOCK as u64).expect("read");
    assert_eq!(byte, *b"c");
    file.write_durable(blocks.blocks(0..1), 2 * BLOCK as u64).expect("write durably again");
    file.read_exact_at(&mut byte, 2 * BLOCK as u64).expect("read");
    assert_eq!(byte, *b"b");
}

fn misaligned_is_refused(fs: &dyn FileSystem, dir: &Path) {
    let file = fs.create_new(&dir.join("f")).expect("create");
    let blocks = Blocks::zeroed(1);
    for offset in [1, 512, BLOCK as u64 - 1, BLOCK as u64 + 8] {
        refused(file.write_durable(blocks.blocks(0..1), offset), ErrorKind::InvalidInput);
    }
    assert_eq!(file.size().expect("size"), 0, "nothing was written");
    file.write_durable(blocks.blocks(0..1), 0).expect("a refusal does not poison");
}

fn read_handle_does_not_write(fs: &dyn FileSystem, dir: &Path) {
    let path = dir.join("f");
    put(fs, &path, b"kept");
    let file = fs.open(&path, Access::Read).expect("open");
    let blocks = Blocks::zeroed(1);
    assert!(file.write_at(b"lost", 0).is_err());
    assert!(file.write_durable(blocks.blocks(0..1), 0).is_err());
    assert!(file.set_len(0).is_err());
    assert_eq!(content(fs, &path), b"kept");
    let file = fs.open(&path, Access::ReadWrite).expect("open");
    file.write_all_at(b"new", 4).expect("write");
    assert_eq!(content(fs, &path), b"keptnew");
}

fn rename_replaces(fs: &dyn FileSystem, dir: &Path) {
    let (from, to) = (dir.join("from"), dir.join("to"));
    put(fs, &from, b"new");
    put(fs, &to, b"old");
    fs.rename(&from, &to).expect("rename");
    assert_eq!(content(fs, &to), b"new");
    assert_eq!(fs.kind(&from).expect("kind"), None);
    let sub = dir.join("sub");
    fs.create_dir(&sub).expect("create a directory");
    fs.rename(&to, &sub.join("moved")).expect("rename across directories");
    assert_eq!(content(fs, &sub.join("moved")), b"new");
    assert_eq!(fs.kind(&to).expect("kind"), None);
}

fn handle_outlives_its_name(fs: &dyn FileSystem, dir: &Path) {
    let (old, new) = (dir.join("old"), dir.join("new"));
    let file = fs.create_new(&old).expect("create");
    let mut blocks = Blocks::zeroed(1);
    fs.rename(&old, &new).expect("rename");
    blocks.bytes_mut().fill(b'1');
    file.write_durable(blocks.blocks(0..1), 0).expect("write durably after the rename");
    assert_eq!(content(fs, &new), [b'1'; BLOCK]);
    // A new file under the old name is another file.
    put(fs, &old, b"other");
    file.write_all_at(b"2", 0).expect("write");
    assert_eq!(content(fs, &old), b"other");
    fs.remove(&new).expect("remove");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 0).expect("read what has no name");
    assert_eq!(byte, *b"2");
}

fn list_is_sorted(fs: &dyn FileSystem, dir: &Path) {
    assert_eq!(fs.list(dir).expect("list"), []);
    for name in ["b", "a10", "a9", "Z"] {
        put(fs, &dir.join(name), b"");
    }
    fs.create_dir(&dir.join("aa")).expect("create a directory");
    put(fs, &dir.join("aa").join("inner"), b"");
    let listed = fs.list(dir).expect("list");
    let listed: Vec<_> = listed.iter().map(|e| (e.name.to_str().unwrap_or("?"), e.kind)).collect();
    let wanted = [("Z", Kind::File), ("a10", Kind::File), ("a9", Kind::File)];
    assert_eq!(listed, [&wanted[..], &[("aa", Kind::Dir), ("b", Kind::File)]].concat());
    fs.remove(&dir.join("b")).expect("remove");
    assert_eq!(fs.list(dir).expect("list").len(), 4);
    refused(fs.list(&dir.join("Z")), ErrorKind::NotADirectory);
}

fn remove_dir_wants_empty(fs: &dyn FileSystem, dir: &Path) {
    let sub = dir.join("sub");
    fs.create_dir(&sub).expect("create a directory");
    put(fs, &sub.join("f"), b"");
    refused(fs.remove_dir(&sub), ErrorKind::DirectoryNotEmpty);
    fs.remove(&sub.join("f")).expect("remove");
    fs.remove_dir(&sub).expect("remove the empty directory");
    assert_eq!(fs.kind(&sub).expect("kind"), None);
}

fn sync_names_a_rung(fs: &dyn FileSystem, dir: &Path) {
    let file = fs.create_new(&dir.join("f")).expect("create");
    file.write_all_at(b"x", 0).expect("write");
    let blocks = Blocks::zeroed(1);
    let rungs = [
        file.sync_data().expect("sync data"),
        file.sync_all().expect("sync all"),
        file.write_durable(blocks.blocks(0..1), 0).expect("write durably"),
        fs.sync_dir(dir).expect("sync the directory"),
    ];
    // One medium lies under all of them, and nothing was refused in between.
    assert!(rungs.iter().all(|rung| *rung == rungs[0]), "{rungs:?}");
}

#[track_caller]
fn held(result: Result<Box<dyn ondisk_fs::Held>, LockError>) {
    match result {
        Err(LockError::Held { .. }) => {}
        other => panic!("it should be held: {other:?}"),
    }
}

fn lock_excludes(fs: &dyn FileSystem, dir: &Path) {
    let path = dir.join("lock");
    let lock = fs.lock(&path, LockMode::Exclusive).expect("lock a file that is made for it");
    held(fs.lock(&path, LockMode::Exclusive));
    held(fs.lock(&path, LockMode::Shared));
    drop(lock);
    let one = fs.lock(&path, LockMode::Shared).expect("lock shared");
    let two = fs.lock(&path, LockMode::Shared).expect("lock shared beside another");
    held(fs.lock(&path, LockMode::Exclusive));
    drop(one);
    held(fs.lock(&path, LockMode::Exclusive));
    drop(two);
    fs.lock(&path, LockMode::Exclusive).expect("lock when the last reader is gone");
}

fn lock_is_given_back(fs: &dyn FileSystem, dir: &Path) {
    let path = dir.join("lock");
    // A shared lock only reads: it makes no file, and keeps nobody out.
    let nothing = fs.lock(&path, LockMode::Shared).expect("lock shared what is not there");
    assert_eq!(fs.kind(&path).expect("kind"), None);
    for _ in 0..3 {
        fs.lock(&path, LockMode::Exclusive).expect("lock");
    }
    drop(nothing);
    match fs.lock(&dir.join("missing").join("lock"), LockMode::Shared) {
        Err(LockError::Io { source, .. }) => assert_eq!(source.kind(), ErrorKind::NotFound),
        other => panic!("a directory that is not there cannot be locked: {other:?}"),
    }
}

fn idioms(fs: &dyn FileSystem, dir: &Path) {
    let path = dir.join("f");
    create_durable(fs, &path, b"one").expect("create durably");
    assert_eq!(content(fs, &path), b"one");
    refused(create_durable(fs, &path, b"two"), ErrorKind::AlreadyExists);
    put(fs, &temp_path(&path), b"left over by a replacement that was cut, and longer");
    replace_atomic(fs, &path, b"three").expect("replace");
    assert_eq!(content(fs, &path), b"three");
    assert_eq!(fs.kind(&temp_path(&path)).expect("kind"), None);
    replace_atomic(fs, &dir.join("g"), b"").expect("replace what is not there");
    assert_eq!(content(fs, &dir.join("g")), b"");
    create_dir_durable(fs, &dir.join("d")).expect("create a directory durably");
    create_dir_durable(fs, &dir.join("d")).expect("one that is there is no error");
    refused(create_dir_durable(fs, &path), ErrorKind::NotADirectory);
}
