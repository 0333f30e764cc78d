//! The buffers against std's, and against what glibc 2.36 and CPython 3.11 were seen to write.

use std::io::{self, BufWriter, Write};

use proptest::prelude::*;

use super::*;

/// A sink that takes at most `most` bytes a call, fails its `fails`-th call, and remembers.
#[derive(Clone, Debug, PartialEq)]
struct Sink {
    most: usize,
    fails: usize,
    calls: Vec<usize>,
    bytes: Vec<u8>,
}

impl Sink {
    fn plain() -> Self {
        Self { most: usize::MAX, fails: 0, calls: Vec::new(), bytes: Vec::new() }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls.push(bytes.len());
        if self.calls.len() == self.fails {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.most);
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0..40_usize, 4000..4200_usize, 8180..8200_usize, 16000..20000_usize]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The same writes and flushes make the same `write(2)` calls as std's `BufWriter` makes.
    #[test]
    fn rust_spills_as_the_standard_library_does(
        writes in prop::collection::vec((lengths(), any::<bool>()), 1..20),
        most in prop_oneof![Just(usize::MAX), 1000..9000_usize],
        fails in 0..8_usize,
    ) {
        let sink = Sink { most, fails, ..Sink::plain() };
        let mut theirs = BufWriter::with_capacity(Profile::RUST.size, sink.clone());
        let (mut ours, mut sink) = (UserBuffer::default(), sink);
        for (n, (len, flush)) in writes.into_iter().enumerate() {
            let bytes = vec![b'a' + u8::try_from(n).unwrap(); len];
            let mut write = |bytes: &[u8]| sink.write(bytes);
            ours.write(&bytes);
            let ok = ours.spill(&mut write).is_ok();
            prop_assert_eq!(ok, theirs.write_all(&bytes).is_ok());
            if flush {
                ours.flush();
                prop_assert_eq!(ours.spill(&mut write).is_ok(), theirs.flush().is_ok());
            }
            prop_assert_eq!(&sink, theirs.get_ref());
            prop_assert_eq!(ours.held(), theirs.buffer());
        }
    }

    /// Whatever the profile, a flush brings all bytes out, in order, each once.
    #[test]
    fn no_byte_is_lost_or_written_twice(
        writes in prop::collection::vec((lengths(), any::<bool>()), 1..20),
        most in prop_oneof![Just(usize::MAX), 1..9000_usize],
    ) {
        for profile in Profile::ALL {
            let (mut buffer, mut sink) = (UserBuffer::new(profile), Sink { most, ..Sink::plain() });
            let mut expected = Vec::new();
            for (n, (len, flush)) in writes.iter().enumerate() {
                let bytes = vec![b'a' + u8::try_from(n).unwrap(); *len];
                expected.extend_from_slice(&bytes);
                buffer.write(&bytes);
                buffer.spill(&mut |bytes| sink.write(bytes)).unwrap();
                if *flush {
                    buffer.flush();
                    buffer.spill(&mut |bytes| sink.write(bytes)).unwrap();
                    prop_assert_eq!(&sink.bytes, &expected);
                }
                prop_assert_eq!([sink.bytes.as_slice(), &buffer.held()].concat(), expected.clone());
            }
        }
    }
}

/// What a program does: a write of so many bytes, a flush, a seek.
#[derive(Clone, Copy)]
enum Do {
    Write(usize),
    Flush,
    Seek,
}

use Do::{Flush, Seek, Write as W};

/// The lengths of the `write(2)` calls that each step makes, and of those that a close makes.
fn spills(profile: Profile, steps: &[Do]) -> Vec<Vec<usize>> {
    let (mut buffer, mut all) = (UserBuffer::new(profile), Vec::new());
    for step in steps.iter().chain([&Flush]) {
        match step {
            W(len) => buffer.write(&vec![b'x'; *len]),
            Flush => buffer.flush(),
            Seek => {
                buffer.flush();
                buffer.sought();
            }
        }
        let mut sink = Sink::plain();
        buffer.spill(&mut |bytes| sink.write(bytes)).unwrap();
        all.push(sink.calls);
    }
    all
}

fn none() -> Vec<usize> {
    Vec::new()
}

#[test]
fn c_fills_its_buffer_and_keeps_the_rest() {
    let seen: [(&[Do], Vec<Vec<usize>>); 7] = [
        (&[W(10_000)], vec![vec![8192], vec![1808]]),
        (&[W(100), W(10_000)], vec![none(), vec![4096, 4096], vec![1908]]),
        (&[W(4000), W(96), W(1)], vec![none(), none(), vec![4096], vec![1]]),
        (&[W(4096), W(1)], vec![vec![4096], none(), vec![1]]),
        (&[W(1), Flush, W(4096), W(1)], vec![none(), vec![1], none(), vec![4096], vec![1]]),
        (&[W(1), Seek, W(4096)], vec![none(), vec![1], vec![4096], none()]),
        (&[W(1), Flush, W(4096), W(4096)], vec![none(), vec![1], none(), vec![4096, 4096], none()]),
    ];
    for (steps, expected) in seen {
        assert_eq!(spills(Profile::C, steps), expected);
    }
}

#[test]
fn python_keeps_small_writes_whole() {
    let (bytes, text) = (Profile::PYTHON_3_13_BYTES, Profile::PYTHON_3_13);
    let tens = [W(10); 1000];
    let calls = |profile, steps: &[Do]| -> Vec<usize> { spills(profile, steps).concat() };
    assert_eq!(calls(bytes, &tens), [4090, 4090, 1820]);
    assert_eq!(calls(text, &tens), [8190, 1810]);
    assert_eq!(calls(Profile::PYTHON_3_14_BYTES, &[W(10); 20_000]), [131_070, 68_930]);
    assert_eq!(spills(bytes, &[W(4096), W(1)]), [none(), vec![4096], vec![1]]);
    assert_eq!(spills(bytes, &[W(4097)]), [vec![4097], none()]);
    assert_eq!(spills(bytes, &[W(100), W(10_000)]), [none(), vec![100, 10_000], none()]);
    assert_eq!(spills(text, &[W(4097)]), [none(), vec![4097]]);
    assert_eq!(spills(text, &[W(8192), W(1)]), [vec![8192], none(), vec![1]]);
    let mixed = [W(100), W(4090), W(5000), W(3000), W(9000), W(1)];
    let expected = [none(), none(), vec![4190], none(), vec![8000, 9000], none(), vec![1]];
    assert_eq!(spills(text, &mixed), expected);
}

/// What is in the file, and what is still held, when a `write(2)` takes so many bytes and the next
/// one fails.
fn after_a_failure(profile: Profile, writes: &[usize], takes: usize) -> (usize, usize) {
    let mut buffer = UserBuffer::new(profile);
    let (mut written, mut has_failed) = (0, false);
    for len in writes {
        buffer.write(&vec![b'x'; *len]);
        while let Some(bytes) = buffer.next() {
            let taken = bytes.len().min(takes - written);
            written += taken;
            if taken == 0 {
                has_failed = true;
                buffer.failed();
            } else {
                buffer.wrote(taken);
            }
        }
    }
    assert!(has_failed);
    (written, buffer.held().len())
}

#[test]
fn a_failed_write_keeps_or_drops_what_was_buffered() {
    // Full at the 1000th byte: glibc drops the rest of its buffer and the new bytes that did not
    // fit; CPython drops text that was on its way and the new bytes; the others keep all they had.
    assert_eq!(after_a_failure(Profile::C, &[4000, 200], 1000), (1000, 0));
    assert_eq!(after_a_failure(Profile::PYTHON_3_13, &[4000, 4100, 200], 1000), (1000, 0));
    assert_eq!(after_a_failure(Profile::PYTHON_3_13_BYTES, &[4000, 200], 1000), (1000, 3000));
    assert_eq!(after_a_failure(Profile::RUST, &[8000, 200], 1000), (1000, 7000));
}

#[test]
fn profiles_are_found_by_their_names() {
    for profile in Profile::ALL {
        assert_eq!(Profile::named(profile.name), Some(profile));
    }
    assert_eq!(Profile::named("go"), None);
}
