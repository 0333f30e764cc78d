//! A rule of a model that is switched off or changed is noticed: some small history has other crash
//! states than the enumeration gives for the rule as it is written.

use ondisk_sim::model::{
    Append, EXT4, Fill, Len, Names, Needs, POSIX, Raise, RaiseDir, Rename, Replace, STRICT, Tear,
};
use ondisk_sim::{At, Crash, Model};

use crate::explored;
use crate::world::history;

/// Whether some cut of some history tells a mutant from the row that it was made of.
fn is_caught(row: Model, mutant: Model) -> Option<u64> {
    (0..4000).find(|seed| {
        let (ops, brute, fs) = history(*seed, row, 2 + usize::try_from(seed % 5).unwrap());
        let crash = Crash::new(&mutant, fs.history());
        let n = ops.len();
        let Some(expected) = brute.images(n, n) else { return false };
        let at = At(u32::try_from(2 * n + 1).unwrap());
        explored(&crash, at, *seed, 3000).is_some_and(|found| found != expected)
    })
}

fn all_caught(row: Model, mutants: &[(&str, Model)]) {
    for (rule, mutant) in mutants {
        let caught = is_caught(row, *mutant);
        println!("{row}: {rule}: caught by history {caught:?}");
        assert!(caught.is_some(), "{row}: {rule}: no history notices");
    }
}

#[test]
fn mutants_of_posix_are_caught() {
    let row = POSIX;
    all_caught(
        row,
        &[
            ("names in one chain", Model { names: Names::OneChain, ..row }),
            ("lengths need their data", Model { len: Len::Float(Needs::All), ..row }),
            ("lengths need their last block", Model { len: Len::Float(Needs::Last), ..row }),
            ("no former bytes", Model { fill: Fill::Zero, ..row }),
            ("no tears", Model { tear: Tear::Never, ..row }),
            ("fsync raises names", Model { sync: Raise::AllBefore, ..row }),
            ("fdatasync raises names", Model { datasync: Raise::AllBefore, ..row }),
            ("a directory's sync raises all", Model { sync_dir: RaiseDir::AllBefore, ..row }),
            ("a rename is one effect", Model { rename: Rename::One, ..row }),
            ("a replacement needs its length", Model { replace: Replace::LenFirst, ..row }),
        ],
    );
}

#[test]
fn mutants_of_ext4_are_caught() {
    let row = EXT4;
    all_caught(
        row,
        &[
            ("names each for itself", Model { names: Names::PerName, ..row }),
            ("everything in one chain", Model { names: Names::Everything, ..row }),
            ("lengths in the chain", Model { len: Len::Chain(Needs::Nothing), ..row }),
            ("lengths need their data", Model { len: Len::Float(Needs::All), ..row }),
            ("lengths need their last block", Model { len: Len::Float(Needs::Last), ..row }),
            ("a short append floats", Model { append: Append::AsLen, ..row }),
            ("former bytes", Model { fill: Fill::ZeroOrJunk, ..row }),
            ("no tears", Model { tear: Tear::Never, ..row }),
            ("fsync raises no names", Model { sync: Raise::Nothing, ..row }),
            ("fsync raises as fdatasync", Model { sync: Raise::ToCreationOrLen, ..row }),
            ("fsync raises all", Model { sync: Raise::AllBefore, ..row }),
            ("fdatasync raises no names", Model { datasync: Raise::Nothing, ..row }),
            ("fdatasync raises as fsync", Model { datasync: Raise::ToLastNameOrLen, ..row }),
            ("a directory's sync raises all", Model { sync_dir: RaiseDir::AllBefore, ..row }),
            ("a directory's sync raises its own", Model { sync_dir: RaiseDir::NamesIn, ..row }),
            ("a rename is two effects", Model { rename: Rename::TwoAcrossDirs, ..row }),
            ("a replacement needs nothing", Model { replace: Replace::Nothing, ..row }),
            ("a replacement needs its data", Model { replace: Replace::DataFirst, ..row }),
        ],
    );
}

#[test]
fn mutants_of_strict_are_caught() {
    let row = STRICT;
    all_caught(
        row,
        &[
            ("data and lengths float", Model { names: Names::OneChain, ..row }),
            ("tears", Model { tear: Tear::Sector, ..row }),
            ("fsync raises names alone", Model { sync: Raise::ToLastNameOrLen, ..row }),
            ("fdatasync raises names alone", Model { datasync: Raise::ToCreationOrLen, ..row }),
            ("a directory's sync raises its own", Model { sync_dir: RaiseDir::NamesIn, ..row }),
            ("a rename is two effects", Model { rename: Rename::TwoAcrossDirs, ..row }),
        ],
    );
}
