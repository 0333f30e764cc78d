use ondisk_fs::FileSystem as _;
use ondisk_sim::MemFs;

use super::*;

/// Numbers count, not names: `10.pin` is above `9.pin`.
#[test]
fn the_oldest_and_the_newest_of_many_readers() {
    let fs = MemFs::new();
    fs.create_dir("db".as_ref()).unwrap();
    let (share, store) = (fs.share(), Path::new("db"));
    let pins = FilePins::new(Arc::clone(&share), store);
    assert_eq!((pins.oldest(), pins.newest()), (None, 0));
    let mut readers: Vec<_> = (0..11).map(|_| ReaderPin::take(&share, store).unwrap()).collect();
    assert_eq!((pins.oldest(), pins.newest()), (Some(1), 11));
    drop(readers.remove(0));
    assert_eq!((pins.oldest(), pins.newest()), (Some(2), 11));
    drop(readers.pop());
    assert_eq!((pins.oldest(), pins.newest()), (Some(2), 10));
}

/// A reader that died holds its pin no more, and its file goes.
#[test]
fn a_dead_reader_pins_nothing() {
    let fs = MemFs::new();
    fs.create_dir("db".as_ref()).unwrap();
    let store = Path::new("db");
    let reader = ReaderPin::take(&fs.share(), store).unwrap();
    let fs = fs.fork(); // no lock goes with it
    let pins = FilePins::new(fs.share(), store);
    assert_eq!((pins.oldest(), pins.newest()), (None, 0));
    assert!(fs.look("db/readers/1.pin").is_none());
    drop(reader);
}
