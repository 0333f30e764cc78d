//! The bytes of groups and anchors, written down a second time from `docs/format/log.md` and
//! `anchor.md`: an oracle for the log's own encoding, and a way to make files that no log writes.
//!
//! Invariant: shares no code with the log; its sums come from another library.

/// A group as the format has it; sums and lengths follow from the rest.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) store: [u8; 16],
    pub(crate) generation: u64,
    pub(crate) prev_lsn: u64,
    pub(crate) prev_crc: u32,
    pub(crate) first_lsn: u64,
    pub(crate) watermark: u64,
    pub(crate) epoch: u32,
    pub(crate) records: Vec<Vec<u8>>,
}

pub(crate) const HEADER: usize = 80;
pub(crate) const BLOCK: usize = 4096;

impl Group {
    /// The bytes, without padding, and the header's sum.
    pub(crate) fn encode(&self) -> (Vec<u8>, u32) {
        let count = u32::try_from(self.records.len()).unwrap();
        let (mut body, mut prefixes) = (Vec::new(), Vec::new());
        for record in &self.records {
            let len = u32::try_from(record.len()).unwrap();
            let prefix = [len.to_le_bytes(), crc32c::crc32c(record).to_le_bytes()].concat();
            prefixes.extend_from_slice(&prefix);
            body.extend_from_slice(&prefix);
            body.extend_from_slice(record);
        }
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&[0xD1, b'g', b'r', b'p', 0, 0, 0, 0]);
        bytes.extend_from_slice(&1_u16.to_le_bytes());
        bytes.extend_from_slice(&0_u16.to_le_bytes());
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&self.store);
        for field in [self.generation, self.prev_lsn, self.first_lsn, self.watermark] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        let body_len = u32::try_from(body.len()).unwrap();
        for field in [self.epoch, self.prev_crc, body_len, crc32c::crc32c(&prefixes)] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        let sum = sum_header(&mut bytes);
        bytes.extend_from_slice(&body);
        (bytes, sum)
    }

    /// The last LSN; that of the group before when it holds no commit.
    pub(crate) fn last_lsn(&self) -> u64 {
        match self.records.len() as u64 {
            0 => self.prev_lsn,
            count => self.first_lsn + count - 1,
        }
    }
}

/// Makes the sum of a header right, whatever it says; the sum.
pub(crate) fn sum_header(group: &mut [u8]) -> u32 {
    let sum = crc32c::crc32c(&group[8..HEADER]);
    group[4..8].copy_from_slice(&sum.to_le_bytes());
    sum
}

/// An anchor as the format has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) store: [u8; 16],
    pub(crate) epoch: u32,
    /// 0 creating, 1 open, 2 closed.
    pub(crate) state: u32,
    pub(crate) first_segment: u64,
    pub(crate) first_lsn: u64,
    pub(crate) first_crc: u32,
    pub(crate) fresh: u32,
    pub(crate) newest: u64,
    pub(crate) checkpoint: u64,
    pub(crate) durable: u64,
    pub(crate) highest: u64,
    pub(crate) end_segment: u64,
    pub(crate) end_offset: u64,
    pub(crate) end_lsn: u64,
    pub(crate) end_crc: u32,
}

impl Anchor {
    /// One of a log that is open and begins with segment 1.
    pub(crate) fn open(store: [u8; 16], newest: u64) -> Self {
        Self {
            store,
            epoch: 1,
            state: 1,
            first_segment: 1,
            first_lsn: 0,
            first_crc: 0,
            fresh: 0,
            newest,
            checkpoint: 0,
            durable: 0,
            highest: 0,
            end_segment: 0,
            end_offset: 0,
            end_lsn: 0,
            end_crc: 0,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = b"\xD1ondanch\0\0\0\0".to_vec();
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        bytes.extend_from_slice(&self.store);
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.state.to_le_bytes());
        bytes.extend_from_slice(&self.first_segment.to_le_bytes());
        bytes.extend_from_slice(&self.first_lsn.to_le_bytes());
        bytes.extend_from_slice(&self.first_crc.to_le_bytes());
        bytes.extend_from_slice(&self.fresh.to_le_bytes());
        let wide = [
            self.newest,
            self.checkpoint,
            self.durable,
            self.highest,
            self.end_segment,
            self.end_offset,
            self.end_lsn,
        ];
        wide.iter().for_each(|field| bytes.extend_from_slice(&field.to_le_bytes()));
        bytes.extend_from_slice(&self.end_crc.to_le_bytes());
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        sum_anchor(&mut bytes);
        bytes
    }
}

/// Makes the sum of an anchor right, whatever it says.
pub(crate) fn sum_anchor(anchor: &mut [u8]) {
    let sum = crc32c::crc32c(&anchor[12..]);
    anchor[8..12].copy_from_slice(&sum.to_le_bytes());
}

/// The groups of a segment, one after the other: each where the format puts it, at the end of the
/// one before or, behind a sync, at the next block.
pub(crate) fn segment(size: usize, groups: &[(Group, Behind)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (group, behind) in groups {
        let align = if *behind == Behind::Sync { BLOCK } else { 8 };
        bytes.resize(bytes.len().next_multiple_of(align), 0);
        bytes.extend_from_slice(&group.encode().0);
    }
    bytes.resize(size, 0);
    bytes
}

/// What was between a group and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    Sync,
    Nothing,
}
