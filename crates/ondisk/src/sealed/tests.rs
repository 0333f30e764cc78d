//! What is put in place is read; what is no such file is told apart.

use ondisk_sim::MemFs;

use super::*;

const NOTE: Sealed = Sealed { magic: *b"\xD1ondnote", version: 2, longest: 40 };

fn note(text: &[u8]) -> Vec<u8> {
    let mut bytes = NOTE.seal().as_bytes().to_vec();
    bytes.extend_from_slice(text);
    Sealed::close(bytes)
}

#[test]
fn what_is_put_in_place_is_read() {
    let (fs, path) = (MemFs::new(), Path::new("note"));
    assert_eq!(NOTE.read(&*fs.share(), path).unwrap(), None);
    NOTE.install(&*fs.share(), path, &note(b"first")).unwrap();
    NOTE.install(&*fs.share(), path, &note(b"second")).unwrap();
    let found = NOTE.read(&*fs.share(), path).unwrap().unwrap();
    assert_eq!((&found[SEAL..], NOTE.check(path, &found).unwrap()), (&b"second"[..], 2));
}

#[test]
fn what_is_too_long_is_neither_written_nor_read() {
    let (fs, path, long) = (MemFs::new(), Path::new("note"), note(&[7; 25]));
    assert!(NOTE.install(&*fs.share(), path, &long).is_err());
    assert_eq!(NOTE.read(&*fs.share(), path).unwrap(), None);
    overwrite(&*fs.share(), path, &long).unwrap();
    assert!(NOTE.read(&*fs.share(), path).unwrap_err().is_damage());
}

#[test]
fn another_kind_an_older_and_a_newer_version_are_told_apart_from_damage() {
    let version = |version| {
        let mut bytes = note(b"text");
        bytes[12] = version;
        NOTE.check(Path::new("note"), &Sealed::close(bytes))
    };
    assert_eq!((version(1).unwrap(), version(2).unwrap()), (1, 2));
    assert!(matches!(version(3), Err(Error::NewerFormat { found: 3, known: 2, .. })));
    assert!(version(0).unwrap_err().is_damage());
    for (at, damage) in [(0, Damage::Magic), (8, Damage::HeaderSum), (12, Damage::HeaderSum)] {
        let mut bytes = note(b"text");
        bytes[at] ^= 1;
        let found = NOTE.check(Path::new("note"), &bytes).unwrap_err();
        assert!(matches!(&found, Error::Damaged { damage: it, .. } if *it == damage), "{found}");
    }
    assert!(NOTE.check(Path::new("note"), &note(b"")[..15]).unwrap_err().is_damage());
}
