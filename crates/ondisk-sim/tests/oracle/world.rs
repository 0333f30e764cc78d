//! Small worlds: a few names in two directories, calls drawn from a seed, and what is there.

use std::path::PathBuf;

use ondisk_fs::{Access, Blocks, File, FileSystem, Rung};
use ondisk_sim::{CrashFs, Fault, Image, MemFs, Model, Node, Place, Target};

use crate::brute::{ALLOCATED, BLOCK, Brute, Op, Spot, Tree};

/// Small numbers from a seed.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }

    pub(crate) fn of<T: Clone>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())].clone()
    }
}

pub(crate) const SPOTS: [Spot; 4] = [(0, 'a'), (0, 'b'), (1, 'a'), (1, 'c')];

pub(crate) fn base() -> Tree {
    Tree::from([((0, 'a'), vec![b'O'; 700]), ((1, 'c'), vec![b'P'; 5000])])
}

pub(crate) fn path(at: Spot) -> PathBuf {
    let dir = if at.0 == 0 { "" } else { "d" };
    PathBuf::from(dir).join(at.1.to_string())
}

pub(crate) fn live(base: &Tree) -> MemFs {
    let mut image = Image::new().dir("d");
    for (spot, bytes) in base {
        image = image.file(path(*spot), bytes.clone());
    }
    MemFs::from_image(&image)
}

/// A call that can be made now; `n` makes its bytes different from all others.
pub(crate) fn draw_op(draw: &mut Draw, brute: &Brute, n: usize) -> Op {
    let byte = b'0' + u8::try_from(n).unwrap();
    let there: Vec<Spot> = brute.names().keys().copied().collect();
    let free: Vec<Spot> = SPOTS.into_iter().filter(|spot| !there.contains(spot)).collect();
    // The simulation records this by file, the enumeration as one call.
    if brute.is_evictable() && draw.below(3) == 0 {
        return Op::Evict;
    }
    loop {
        let at = if there.is_empty() { None } else { Some(draw.of(&there)) };
        match (draw.below(21), at) {
            (0 | 1, _) if !free.is_empty() => return Op::Create(draw.of(&free)),
            (2..=5, Some(at)) => {
                let offset = draw.of(&[0, 100, 500, 700, 4000, 4090, 5000, 8192]);
                let len = draw.of(&[1, 30, 600]);
                return Op::Write { at, offset, len, byte };
            }
            (6, Some(at)) => return Op::WriteDurable { at, block: draw.below(2), byte },
            (18, Some(at)) => return Op::FailedDurable { at, block: draw.below(2), byte },
            (7, Some(at)) => {
                let len = draw.of(&[0, 50, 600, 4096, 6000]);
                if len != brute.len(at) {
                    return Op::SetLen { at, len };
                }
            }
            (20, Some(at)) => return Op::Allocate { at, len: draw.of(&ALLOCATED) },
            (8 | 9, Some(at)) => {
                let to = draw.of(&SPOTS);
                let names = brute.names();
                if names.get(&to) != names.get(&at) {
                    return Op::Rename(at, to);
                }
            }
            (19, Some(at)) if !free.is_empty() => return Op::Link(at, draw.of(&free)),
            (10, Some(at)) => return Op::Remove(at),
            (11 | 12, Some(at)) => return Op::Sync(at),
            (13 | 14, Some(at)) => return Op::SyncData(at),
            (15 | 17, Some(at)) => return Op::FailedSync(at),
            (16, _) => return Op::SyncDir(u8::try_from(draw.below(2)).unwrap()),
            _ => {}
        }
    }
}

fn durable(file: &dyn File, block: usize, byte: u8) -> std::io::Result<Rung> {
    let mut blocks = Blocks::zeroed(1);
    blocks.bytes_mut().fill(byte);
    file.write_durable(blocks.blocks(0..1), (block * BLOCK) as u64)
}

pub(crate) fn perform(fs: &MemFs, op: &Op) {
    let open = |at: &Spot| fs.open(&path(*at), Access::ReadWrite).unwrap();
    match op {
        Op::Create(at) => drop(fs.create_new(&path(*at)).unwrap()),
        Op::Write { at, offset, len, byte } => {
            open(at).write_all_at(&vec![*byte; *len], *offset as u64).unwrap();
        }
        Op::WriteDurable { at, block, byte } => {
            durable(&*open(at), *block, *byte).unwrap();
        }
        Op::FailedDurable { at, block, byte } => {
            fs.inject(Fault::next(Target::Only(Place::WriteDurable), std::io::ErrorKind::Other));
            durable(&*open(at), *block, *byte).unwrap_err();
        }
        Op::SetLen { at, len } => open(at).set_len(*len as u64).unwrap(),
        Op::Allocate { at, len } => open(at).allocate(*len as u64).unwrap(),
        Op::Rename(from, to) => fs.rename(&path(*from), &path(*to)).unwrap(),
        Op::Link(from, to) => fs.link(path(*from), path(*to)).unwrap(),
        Op::Remove(at) => fs.remove(&path(*at)).unwrap(),
        Op::Sync(at) => drop(open(at).sync_all().unwrap()),
        Op::SyncData(at) => drop(open(at).sync_data().unwrap()),
        Op::FailedSync(at) => {
            fs.inject(Fault::next(Target::Only(Place::SyncAll), std::io::ErrorKind::Other));
            open(at).sync_all().unwrap_err();
        }
        Op::Evict => fs.evict(),
        Op::SyncDir(dir) => {
            fs.sync_dir(if *dir == 0 { ".".as_ref() } else { "d".as_ref() }).unwrap();
        }
    }
}

/// All that is there, as the oracle has it.
pub(crate) fn tree(fs: &CrashFs) -> Tree {
    let mut tree = Tree::new();
    for (at, node) in fs.image().nodes {
        if let Node::File(mut bytes) = node {
            for sector in bytes.chunks_mut(512) {
                // The simulation's former bytes all have their highest bit; the workload's never.
                if sector.iter().all(|byte| *byte >= 0x80) {
                    sector.fill(0xFF);
                }
            }
            let name = at.file_name().unwrap().to_str().unwrap().chars().next().unwrap();
            tree.insert((u8::from(at.starts_with("d")), name), bytes);
        }
    }
    tree
}

/// Looks at some of it first, and remembers what it was told.
pub(crate) fn look_around(fs: &CrashFs, draw: &mut Draw) -> Vec<(Spot, usize, Vec<u8>)> {
    let mut told = Vec::new();
    for _ in 0..draw.below(4) {
        let at = draw.of(&SPOTS);
        let Ok(file) = fs.open(&path(at), Access::Read) else { continue };
        if draw.below(3) == 0 {
            file.size().unwrap();
        }
        let (offset, len) = (draw.of(&[0, 90, 4000, 4096, 5000]), draw.of(&[8, 600, 4096, 9000]));
        let mut bytes = vec![0; len];
        let got = file.read_at(&mut bytes, offset as u64).unwrap();
        bytes.truncate(got);
        told.push((at, offset, bytes));
    }
    told
}

pub(crate) fn history(seed: u64, model: Model, calls: usize) -> (Vec<Op>, Brute, MemFs) {
    let mut draw = Draw(seed);
    let (mut brute, fs) = (Brute::new(model, &base()), live(&base()));
    let mut ops = Vec::new();
    for n in 0..calls {
        let op = draw_op(&mut draw, &brute, n);
        brute.run(&op);
        perform(&fs, &op);
        ops.push(op);
    }
    assert_eq!(fs.history().calls.len(), ops.len());
    (ops, brute, fs)
}
