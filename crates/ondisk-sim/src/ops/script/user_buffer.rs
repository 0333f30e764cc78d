//! Layer 1: the buffer that a program's library keeps for an open file, in the process's memory.
//!
//! Invariant: what it holds no other process has seen, and a `kill` loses it. Its rules are those
//! of std's `BufWriter`, against which it is tested.
//!
//! Knows nothing of offsets and files: what spills is given to a sink, a `write(2)`.

/// The buffer of one open file, profile `rust`.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserBuffer(Vec<u8>);

impl UserBuffer {
    /// Its size in bytes: `BufWriter`'s default.
    pub(crate) const CAPACITY: usize = 8192;

    /// What it holds.
    pub(crate) fn held(&self) -> Vec<u8> {
        self.0.clone()
    }

    /// What it holds.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes: flushes first when they do not fit, and what fills the buffer alone goes past
    /// it. On an error the new bytes are not taken, and of the old ones those stay that did not
    /// get out.
    pub(crate) fn write<E>(
        &mut self,
        new: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        if new.len() > Self::CAPACITY.saturating_sub(self.0.len()) {
            self.flush(sink)?;
        }
        if new.len() >= Self::CAPACITY {
            return write_all(new, sink).1;
        }
        self.0.extend_from_slice(new);
        Ok(())
    }

    /// Gives all that it holds to the sink. On an error what did not get out stays.
    pub(crate) fn flush<E>(
        &mut self,
        sink: &mut dyn FnMut(&[u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let (written, result) = write_all(&self.0, sink);
        self.0.drain(..written);
        result
    }
}

/// Writes until all is written or the sink fails or takes nothing; how much was written.
fn write_all<E>(
    mut bytes: &[u8],
    sink: &mut dyn FnMut(&[u8]) -> Result<usize, E>,
) -> (usize, Result<(), E>) {
    let len = bytes.len();
    while !bytes.is_empty() {
        match sink(bytes) {
            Ok(0) => break,
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(error) => return (len - bytes.len(), Err(error)),
        }
    }
    (len - bytes.len(), Ok(()))
}

#[cfg(test)]
mod tests {
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
        fn spills_as_the_standard_library_does(
            writes in prop::collection::vec((lengths(), any::<bool>()), 1..20),
            most in prop_oneof![Just(usize::MAX), 1000..9000_usize],
            fails in 0..8_usize,
        ) {
            let sink = Sink { most, fails, calls: Vec::new(), bytes: Vec::new() };
            let mut theirs = BufWriter::with_capacity(UserBuffer::CAPACITY, sink.clone());
            let (mut ours, mut sink) = (UserBuffer::default(), sink);
            for (n, (len, flush)) in writes.into_iter().enumerate() {
                let bytes = vec![b'a' + u8::try_from(n).unwrap(); len];
                let mut write = |bytes: &[u8]| sink.write(bytes);
                let ok = ours.write(&bytes, &mut write).is_ok();
                prop_assert_eq!(ok, theirs.write_all(&bytes).is_ok());
                if flush {
                    prop_assert_eq!(ours.flush(&mut write).is_ok(), theirs.flush().is_ok());
                }
                prop_assert_eq!(&sink, theirs.get_ref());
                prop_assert_eq!(&ours.0, theirs.buffer());
            }
        }
    }
}
