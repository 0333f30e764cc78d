//! No more files are open than may be, and each can be read at any time.

use ondisk_sim::MemFs;

use super::*;

fn files(handles: &Arc<Handles>, count: u8) -> Vec<Arc<LazyFile>> {
    let fs = MemFs::new().share();
    let file = |n: u8| {
        let path = PathBuf::from(format!("file {n}"));
        let file = fs.create_new(&path).unwrap();
        file.write_all_at(&[n], 0).unwrap();
        handles.keep(&fs, &path, file)
    };
    (0..count).map(file).collect()
}

fn read(file: &LazyFile) -> u8 {
    let mut byte = [0];
    file.with(|file| file.read_exact_at(&mut byte, 0)).unwrap();
    byte[0]
}

#[test]
fn few_are_open_and_all_are_read() {
    let handles = Arc::new(Handles::new(3));
    let files = files(&handles, 9);
    for round in 0..40_u8 {
        let n = round.wrapping_mul(7) % 9;
        assert_eq!(read(&files[usize::from(n)]), n);
        assert!(handles.count() <= 3);
    }
    drop(files);
    assert_eq!(handles.count(), 0);
}

#[test]
fn what_is_read_from_stays_open() {
    let handles = Arc::new(Handles::new(3));
    let files = files(&handles, 9);
    read(&files[0]);
    for n in 1..9 {
        read(&files[n]);
        assert!(files[0].file.load().is_some(), "{n}");
        read(&files[0]);
    }
}

#[test]
fn who_reads_holds_the_file_while_its_handle_is_given_up() {
    let handles = Arc::new(Handles::new(1));
    let files = files(&handles, 2);
    let both = files[0].with(|file| {
        let other = read(&files[1]);
        let mut byte = [7];
        file.read_exact_at(&mut byte, 0).map(|()| (byte[0], other))
    });
    assert_eq!(both.unwrap(), (0, 1));
}
