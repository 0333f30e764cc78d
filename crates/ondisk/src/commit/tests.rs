//! Commits come back as they were written, and no bytes make the reader panic.

use proptest::prelude::*;

use super::*;

type Written = Vec<(u32, Vec<u8>, Option<Vec<u8>>)>;

fn operations() -> impl Strategy<Value = Written> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    prop::collection::vec((any::<u32>(), bytes(), prop::option::of(bytes())), 0..8)
}

fn write(ops: &Written) -> Bytes {
    let mut writer = CommitWriter::with_capacity(0);
    for (keyspace, key, value) in ops {
        writer.push(*keyspace, key, value.as_deref());
    }
    writer.finish().payload().clone()
}

fn read(payload: &Bytes) -> Result<Written, CommitError> {
    let commit = Commit::parse(payload.clone(), 1 << 16)?;
    let owned = |span: Span| span.of(payload).to_vec();
    Ok(commit.ops().map(|op| (op.keyspace, owned(op.key), op.value.map(owned))).collect())
}

proptest! {
    #[test]
    fn what_is_written_is_read(ops in operations()) {
        prop_assert_eq!(read(&write(&ops)), Ok(ops));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..80), count in 0_u8..4,
    ) {
        read(&bytes.clone().into()).ok();
        // And with a head that gets past the first checks.
        let mut payload = vec![COMMIT_VERSION, OPERATIONS, 0, 0, count, 0, 0, 0];
        payload.extend(bytes);
        read(&payload.into()).ok();
    }

    #[test]
    fn a_commit_that_is_cut_or_extended_is_refused(ops in operations(), more in 1_usize..9) {
        let payload = write(&ops);
        for len in 0..payload.len() {
            prop_assert!(read(&payload.slice(..len)).is_err());
        }
        let longer = [&payload[..], &vec![0; more]].concat();
        prop_assert_eq!(read(&longer.into()), Err(CommitError::Trailing));
    }
}

#[test]
fn the_bytes_of_a_commit() {
    let mut writer = CommitWriter::with_capacity(0);
    writer.push(0, b"alice", Some(b"70"));
    writer.push(0, b"bob", None);
    let expected = [
        &[1, 1, 0, 0, 2, 0, 0, 0][..],
        &[1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0],
        b"alice70",
        &[2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
        b"bob",
    ];
    assert_eq!(writer.finish().payload(), &expected.concat());
}

#[test]
fn each_refusal_says_why() {
    let head = |head: [u8; 8], op: &[u8]| read(&[&head[..], op].concat().into());
    assert_eq!(head([2, 1, 0, 0, 0, 0, 0, 0], &[]), Err(CommitError::Version(2)));
    assert_eq!(head([1, 9, 0, 0, 0, 0, 0, 0], &[]), Err(CommitError::Kind(9)));
    assert_eq!(head([1, 1, 0, 1, 0, 0, 0, 0], &[]), Err(CommitError::NotZero));
    assert_eq!(head([1, 1, 0, 0, 1, 0, 0, 0], &[]), Err(CommitError::Short(0)));
    let delete = [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'v'];
    assert_eq!(head([1, 1, 0, 0, 1, 0, 0, 0], &delete), Err(CommitError::DeleteWithValue));
    let key = [1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, b'k', b'e', b'y'];
    let payload = Bytes::from([&[1, 1, 0, 0, 1, 0, 0, 0][..], &key].concat());
    assert_eq!(Commit::parse(payload.clone(), 2).unwrap_err(), CommitError::Key(3));
    assert!(Commit::parse(payload, 3).is_ok());
}
