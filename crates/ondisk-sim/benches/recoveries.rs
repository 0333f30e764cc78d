//! How many crash states a second are recovered: a log of 64 records in a segment of 64 KiB,
//! each state read, summed and compared with what was acknowledged.
//!
//! The log is a stand-in: the size of the reads and the sum are those of a real one, the rest is
//! as little as can be. So the figure says what the simulation costs, and little else.
//!
//! Run it: `cargo bench -p ondisk-sim`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run stops")]

use std::path::Path;
use std::time::Instant;

use ondisk_fs::{Access, BLOCK, Blocks, File, FileSystem};
use ondisk_sim::model::{EXT4, POSIX, STRICT};
use ondisk_sim::{Budget, Crash, CrashFs, MemFs, Report, Tally, Verdict, Where};

const SEGMENT: usize = 64 * 1024;
const RECORDS: usize = 64;

/// How a record becomes durable, and how the segment is read back.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Each in a block of its own, by a durable write; segments are read whole.
    Durable,
    /// Side by side, synced each; segments are read whole.
    Append,
    /// Side by side, never synced; segments are read whole.
    Unsynced,
    /// As `Durable`; segments are read block by block.
    DurableByBlock,
}

fn segment(number: usize) -> String {
    format!("log/{number:010}.log")
}

fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    words.fold(1, |sum, word| (sum ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17))
}

fn record(n: usize) -> [u8; 128] {
    let mut bytes = [u8::try_from(n + 1).unwrap(); 128];
    let check = sum(&bytes[8..]);
    bytes[..8].copy_from_slice(&check.to_le_bytes());
    bytes
}

fn prepare(fs: &MemFs, number: usize) -> std::sync::Arc<dyn File> {
    let file = fs.create_new(Path::new(&segment(number))).unwrap();
    file.write_all_at(&[0; SEGMENT], 0).unwrap();
    file.sync_all().unwrap();
    fs.sync_dir(Path::new("log")).unwrap();
    file
}

fn workload(shape: Shape) -> MemFs {
    let fs = MemFs::new();
    fs.create_dir(Path::new("log")).unwrap();
    fs.sync_dir(Path::new(".")).unwrap();
    let fs = fs.settled();
    let mut file = prepare(&fs, 0);
    for n in 0..RECORDS {
        match shape {
            Shape::Durable | Shape::DurableByBlock => {
                let (number, block) = (n / 16, n % 16);
                if n > 0 && block == 0 {
                    file = prepare(&fs, number);
                }
                let mut blocks = Blocks::zeroed(1);
                blocks.bytes_mut()[..128].copy_from_slice(&record(n));
                let offset = u64::try_from(block * BLOCK).unwrap();
                file.write_durable(blocks.blocks(0..1), offset).unwrap();
                fs.ack(n.to_string());
            }
            Shape::Append | Shape::Unsynced => {
                file.write_all_at(&record(n), u64::try_from(n * 128).unwrap()).unwrap();
                if matches!(shape, Shape::Append) {
                    file.sync_data().unwrap();
                    fs.ack(n.to_string());
                }
            }
        }
    }
    fs
}

/// Reads all segments that there are, counts the records in order, and writes as little as a
/// recovery does: one block, synced.
fn recover(fs: &CrashFs, shape: Shape, buf: &mut [u8]) -> Verdict {
    let mut found = 0;
    let stride = if matches!(shape, Shape::Durable | Shape::DurableByBlock) { BLOCK } else { 128 };
    let mut last = None;
    for entry in fs.list(Path::new("log"))? {
        let path = Path::new("log").join(entry.name);
        let file = fs.open(&path, Access::ReadWrite)?;
        let step = if matches!(shape, Shape::DurableByBlock) { BLOCK } else { SEGMENT };
        let mut len = 0;
        for offset in (0..SEGMENT).step_by(step) {
            len += file.read_at(&mut buf[offset..offset + step], u64::try_from(offset)?)?;
        }
        let whole = buf[..len].chunks_exact(stride).take_while(|slot| {
            let check = u64::from_le_bytes(slot[..8].try_into().unwrap());
            check != 0 && sum(&slot[8..128]) == check
        });
        found += whole.count();
        last = Some(file);
    }
    if let Some(file) = last {
        file.write_at(&buf[..BLOCK], 0)?;
        file.sync_data()?;
    }
    match found >= fs.owed().len() {
        true => Ok(()),
        false => Err(format!("{found} of {} records", fs.owed().len()).into()),
    }
}

/// Explores each cut of each life down to a depth; recovery writes, so it can be cut.
fn lives(crash: &Crash, depth: u32, shape: Shape, buf: &mut [u8], tally: &Tally) -> Report {
    let budget = Budget { per_cut: if depth == 1 { 2000 } else { 12 }, per_run: 60_000, seed: 1 };
    crash.explore(Where::AtSyncs, budget, tally, &mut |fs| {
        recover(fs, shape, buf)?;
        if depth > 1 {
            let further = Crash::of_life(crash.model(), fs);
            lives(&further, depth - 1, shape, buf, tally).into_result()?;
        }
        Ok(())
    })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn main() {
    let mut buf = vec![0; SEGMENT];
    let shapes = [Shape::Durable, Shape::DurableByBlock, Shape::Append, Shape::Unsynced];
    for (shape, depth) in shapes.into_iter().flat_map(|shape| [(shape, 1), (shape, 3)]) {
        let history = workload(shape).history();
        for model in [STRICT, EXT4, POSIX] {
            let start = Instant::now();
            let crash = Crash::new(&model, history.clone());
            let made = start.elapsed();
            let tally = Tally::new();
            let start = Instant::now();
            let report = lives(&crash, depth, shape, &mut buf, &tally);
            let seconds = start.elapsed().as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "a rate is printed with few digits")]
            let rate = tally.recoveries() as f64 / seconds;
            println!(
                "{:15} {depth} lives {model:7} {rate:8.0} recoveries/s ({:7}, {:6} states; effects in {:5.0} µs) {report}",
                format!("{shape:?}"),
                tally.recoveries(),
                tally.states(),
                made.as_secs_f64() * 1e6
            );
            if let Some(failure) = report.failure {
                println!("  {failure}");
            }
        }
    }
}
