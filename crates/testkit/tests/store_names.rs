//! Names that keyspaces may have and may not, and very many of them.

use ondisk::{Background, Batch, Builder, Db, EngineKind, Error, KeyspaceOptions};
use ondisk_sim::MemFs;

fn builder(fs: &MemFs) -> Builder {
    Db::builder()
        .file_system(fs.share())
        .background(Background::Manual)
        .first_segment(64 << 10)
        .largest_segment(1 << 20)
}

/// What is here now, without the record of how it came.
fn compact(fs: &MemFs) -> MemFs {
    MemFs::from_image(&fs.image())
}

#[test]
fn any_text_is_a_name() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    let long = "n".repeat(255);
    let wide = "\u{1F600}".repeat(63);
    let names = [
        "a",
        " ",
        "\t",
        "line\nbreak",
        "\r\n",
        "../up",
        "/",
        ".",
        "..",
        "a/b\\c",
        "\0",
        "\u{7f}",
        "\u{1F600}",
        "é",
        "e\u{301}",
        "ａ",
        "A",
        "default ",
        "0",
        "-1",
        "\u{202e}x",
        &long,
        &wide,
    ];
    for (n, name) in names.iter().enumerate() {
        let options = KeyspaceOptions::new(EngineKind::ALL[n % 3]);
        let space = db.keyspace(name, options).unwrap();
        space.put("name", name).unwrap();
        space.put("", "").unwrap();
    }
    db.checkpoint().unwrap();
    let look = |db: &Db| {
        for (n, name) in names.iter().enumerate() {
            let space = db.existing_keyspace(name).unwrap();
            assert_eq!(space.options().engine, EngineKind::ALL[n % 3]);
            assert_eq!(space.get("name").unwrap().as_deref(), Some(name.as_bytes()));
            assert_eq!(space.get("").unwrap().as_deref(), Some(&b""[..]), "a value of 0 bytes");
        }
    };
    look(&db);
    db.close().unwrap();
    let db = builder(&fs).open("db").unwrap();
    look(&db);
    assert_eq!(db.keyspaces().unwrap().len(), names.len() + 1);
    let inside = fs.image().nodes.into_keys().all(|path| path.starts_with("db"));
    assert!(inside, "no name leads out of the store's directory");
}

#[test]
fn what_is_no_name_is_refused() {
    let fs = MemFs::new();
    let db = builder(&fs).open("db").unwrap();
    let before = fs.image();
    for name in ["".to_owned(), "n".repeat(256), "\u{1F600}".repeat(64), "n".repeat(1 << 20)] {
        let refused = db.keyspace(&name, KeyspaceOptions::default());
        let Err(Error::KeyspaceName { len, limit: 255 }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(len, name.len());
        assert!(matches!(
            db.existing_keyspace(&name),
            Err(Error::KeyspaceName { .. } | Error::NoKeyspace { .. })
        ));
        assert!(db.drop_keyspace(&name).is_err());
    }
    let odd = KeyspaceOptions { page_size: ondisk::PageSize(1000), ..KeyspaceOptions::default() };
    assert!(matches!(db.keyspace("odd", odd), Err(Error::PageSize { found: 1000 })));
    assert!(fs.image() == before, "what is refused writes nothing");
    assert_eq!(db.keyspaces().unwrap().len(), 1);
}

#[test]
fn a_handle_of_another_store_is_refused() {
    let (one, other) = (MemFs::new(), MemFs::new());
    let one = builder(&one).open("db").unwrap();
    let other = builder(&other).open("db").unwrap();
    let options = KeyspaceOptions::new(EngineKind::Lsm);
    let (ours, theirs) =
        (one.keyspace("same", options).unwrap(), other.keyspace("same", options).unwrap());
    let foreign = Batch::new().put_in(&theirs, "key", "value");
    assert!(matches!(one.batch(foreign), Err(Error::ForeignKeyspace)));
    let mixed = Batch::new().put_in(&ours, "key", "value").put_in(&theirs, "key", "value");
    assert!(matches!(one.batch(mixed), Err(Error::ForeignKeyspace)));
    assert_eq!(ours.get("key").unwrap(), None);
}

/// Ten thousand keyspaces: made, written to, listed, reopened, dropped.
#[test]
fn ten_thousand_keyspaces() {
    const ALL: usize = 10_000;
    const AT_ONCE: usize = 500;
    let clock = testkit::clock();
    let mut fs = MemFs::new();
    let name = |n: usize| format!("keyspace {n} \u{1F600}");
    for from in (0..ALL).step_by(AT_ONCE) {
        let db = builder(&fs).open("db").unwrap();
        assert_eq!(db.keyspaces().unwrap().len(), from + 1);
        for n in from..from + AT_ONCE {
            let options = KeyspaceOptions::new(EngineKind::ALL[n % 3]);
            db.keyspace(&name(n), options).unwrap();
        }
        // One commit over all of them.
        let spaces: Vec<_> =
            (from..from + AT_ONCE).map(|n| db.existing_keyspace(&name(n)).unwrap()).collect();
        let batch = spaces
            .iter()
            .fold(Batch::new(), |batch, space| batch.put_in(space, "name", space.name()));
        db.batch(batch).unwrap();
        db.close().unwrap();
        drop((spaces, db));
        fs = compact(&fs);
    }
    let made = clock();
    let db = builder(&fs).open("db").unwrap();
    let listed = db.keyspaces().unwrap();
    assert_eq!(listed.len(), ALL + 1);
    for (n, space) in listed.iter().skip(1).enumerate() {
        assert_eq!((space.name(), space.options().engine), (&name(n)[..], EngineKind::ALL[n % 3]));
        assert_eq!(space.get("name").unwrap().as_deref(), Some(space.name().as_bytes()));
    }
    drop(listed);
    db.close().unwrap();
    assert_eq!(ondisk::check(fs.share(), "db").unwrap().findings, []);
    // One of twenty goes.
    fs = compact(&fs);
    let db = builder(&fs).open("db").unwrap();
    let gone = |n: usize| n.is_multiple_of(20);
    (0..ALL).filter(|n| gone(*n)).for_each(|n| db.drop_keyspace(&name(n)).unwrap());
    db.close().unwrap();
    let db = builder(&fs).open("db").unwrap();
    let left: Vec<_> =
        db.keyspaces().unwrap().iter().map(|space| space.name().to_owned()).collect();
    let expected = (0..ALL).filter(|n| !gone(*n)).map(name);
    assert!(left.into_iter().eq(std::iter::once("default".to_owned()).chain(expected)));
    testkit::summary(&format!(
        "suite store_names: {ALL} keyspaces made in {made:.1} s, listed, reopened and dropped in \
         {:.1} s",
        clock() - made
    ));
}
