//! The models among each other: which is stronger than which, and what each field is for.
//!
//! A mutant is a row with one field changed. Some case must tell it from the row; where none can,
//! it stands in a list, with the reason.

use ondisk_sim::Model;
use ondisk_sim::model::{Append, Fill, Len, Names, Needs, Raise, RaiseDir, Rename, Replace, Tear};

use crate::all;
use crate::case::Found;

/// Pairs of rows: whatever the first allows the second allows too.
pub(crate) const LATTICE: [(&str, &str); 8] = [
    ("strict", "ext4:journal"),
    ("ext4:journal", "ext4:nodelalloc"),
    ("ext4:nodelalloc", "ext4:dioread_lock"),
    ("ext4:dioread_lock", "ext4"),
    ("ext4", "ext4:writeback"),
    ("ext4:writeback", "posix"),
    ("xfs", "posix"),
    ("btrfs", "posix"),
];

const NEEDS: [Needs; 5] = [Needs::Nothing, Needs::Some, Needs::Last, Needs::LastAny, Needs::All];
const RAISES: [Raise; 5] = [
    Raise::Nothing,
    Raise::OwnNames,
    Raise::ToCreationOrLen,
    Raise::ToLastNameOrLen,
    Raise::AllBefore,
];

/// All rows that differ from a row in one field.
fn mutants(row: Model) -> Vec<(String, Model)> {
    let mut all = Vec::new();
    let mut add = |what: String, mutant: Model| {
        if mutant != row {
            all.push((what, mutant));
        }
    };
    for names in [Names::PerName, Names::OneChain, Names::ChainPlusSynced, Names::Everything] {
        add(format!("names {names:?}"), Model { names, ..row });
    }
    for len in NEEDS.into_iter().flat_map(|needs| [Len::Float(needs), Len::Chain(needs)]) {
        add(format!("len {len:?}"), Model { len, ..row });
    }
    for append in [Append::AsLen, Append::AsName] {
        add(format!("append {append:?}"), Model { append, ..row });
    }
    for fill in [Fill::Zero, Fill::ZeroOrJunk] {
        add(format!("fill {fill:?}"), Model { fill, ..row });
    }
    for tear in [Tear::Never, Tear::Sector] {
        add(format!("tear {tear:?}"), Model { tear, ..row });
    }
    for raise in RAISES {
        add(format!("sync {raise:?}"), Model { sync: raise, ..row });
        add(format!("datasync {raise:?}"), Model { datasync: raise, ..row });
    }
    for sync_dir in
        [RaiseDir::NamesIn, RaiseDir::ToLastItem, RaiseDir::AllNames, RaiseDir::AllBefore]
    {
        add(format!("sync_dir {sync_dir:?}"), Model { sync_dir, ..row });
    }
    for rename in [Rename::One, Rename::TwoAcrossDirs] {
        add(format!("rename {rename:?}"), Model { rename, ..row });
    }
    for replace in [Replace::Nothing, Replace::LenFirst, Replace::DataFirst, Replace::InOrder] {
        add(format!("replace {replace:?}"), Model { replace, ..row });
    }
    all
}

/// Why a mutant allows what the row allows.
fn same(row: Model, mutant: Model) -> Option<&'static str> {
    let raises = (mutant.sync, mutant.datasync) != (row.sync, row.datasync);
    let same_names = mutant.names == row.names && mutant.rename == row.rename;
    match row.names {
        Names::Everything if mutant.sync_dir == RaiseDir::AllNames => {
            Some("with data and lengths in it the one chain is everything before")
        }
        Names::Everything if same_names && !raises && mutant.sync_dir == row.sync_dir => {
            (mutant.tear == row.tear && mutant.fill == row.fill)
                .then_some("the one chain says what a length and a replacement need")
        }
        Names::PerName if raises && ![mutant.sync, mutant.datasync].iter().any(is_of_no_chain) => {
            Some("without a chain there is nothing up to which to raise")
        }
        Names::PerName | Names::ChainPlusSynced | Names::OneChain
            if row.replace == Replace::Nothing && mutant.replace == Replace::InOrder =>
        {
            Some("an order that no chain keeps is none")
        }
        _ if matches!(row.len, Len::Chain(_))
            && (row.sync, mutant.sync) == (Raise::ToLastNameOrLen, Raise::OwnNames) =>
        {
            Some("with lengths in it a file's names and its length raise the same chain")
        }
        _ if row.len == Len::Chain(Needs::All) && mutant.append == Append::AsLen => {
            Some("a length in the chain that needs no new block is a name")
        }
        _ => None,
    }
}

/// How weak each field of a row is, where the rows of the lattice can be compared in it.
fn weakness(row: &Model) -> [(&'static str, usize); 8] {
    fn place<T: PartialEq>(all: &[T], it: &T) -> usize {
        all.iter().position(|one| one == it).expect("all are listed, from the strongest on")
    }
    let names = [Names::Everything, Names::OneChain, Names::ChainPlusSynced, Names::PerName];
    // In the one chain a length needs no data to have it: that is the strongest.
    let lens = [
        Len::Chain(Needs::Nothing),
        Len::Chain(Needs::All),
        Len::Float(Needs::All),
        Len::Float(Needs::Last),
        Len::Float(Needs::LastAny),
        Len::Float(Needs::Some),
        Len::Float(Needs::Nothing),
    ];
    let raises = [
        Raise::AllBefore,
        Raise::ToLastNameOrLen,
        Raise::ToCreationOrLen,
        Raise::OwnNames,
        Raise::Nothing,
    ];
    let dirs = [RaiseDir::AllBefore, RaiseDir::AllNames, RaiseDir::ToLastItem, RaiseDir::NamesIn];
    let replace = [Replace::InOrder, Replace::DataFirst, Replace::LenFirst, Replace::Nothing];
    [
        ("names", place(&names, &row.names)),
        ("len", place(&lens, &row.len)),
        ("fill", place(&[Fill::Zero, Fill::ZeroOrJunk], &row.fill)),
        ("tear", place(&[Tear::Never, Tear::Sector], &row.tear)),
        ("sync", place(&raises, &row.sync).max(place(&raises, &row.datasync))),
        ("sync_dir", place(&dirs, &row.sync_dir)),
        ("rename", place(&[Rename::One, Rename::TwoAcrossDirs], &row.rename)),
        ("replace", place(&replace, &row.replace)),
    ]
}

#[test]
fn no_field_of_a_stronger_row_is_weaker() {
    let row = |name: &str| Model::named(name).expect("a row of the lattice");
    for (strong, weak) in LATTICE {
        for (one, other) in weakness(&row(strong)).into_iter().zip(weakness(&row(weak))) {
            assert!(one.1 <= other.1, "{strong} is weaker than {weak} in {}", one.0);
        }
    }
    let swapped = weakness(&row("posix")).into_iter().zip(weakness(&row("strict")));
    assert!(swapped.into_iter().all(|(one, other)| one.1 > other.1), "every field is compared");
}

/// Whether it raises something besides what stands before in a chain.
fn is_of_no_chain(raise: &Raise) -> bool {
    matches!(raise, Raise::OwnNames | Raise::AllBefore)
}

#[test]
fn each_field_of_each_row_is_told_by_some_case() {
    let cases: Vec<_> = all()
        .into_iter()
        .filter(|case| !case.script.contains("1Mi"))
        .map(|case| (case.run(), case))
        .collect();
    let found = |model: &Model| -> Vec<Found> {
        cases.iter().map(|(run, case)| case.found(run, model)).collect()
    };
    let mut wrong = Vec::new();
    for row in Model::ALL {
        let of_row = found(&row);
        for (what, mutant) in mutants(row) {
            let mut zipped = cases.iter().zip(&of_row);
            let is_told = zipped.any(|((run, case), known)| case.found(run, &mutant) != *known);
            match (is_told, same(row, mutant)) {
                (true, None) | (false, Some(_)) => {}
                (true, Some(why)) => wrong.push(format!("{row}: {what}: told, though {why}")),
                (false, None) => wrong.push(format!("{row}: {what}: no case tells")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
