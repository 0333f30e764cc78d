//! The models: for each file system, what a power cut may leave, as a row of plain data.
//!
//! Invariant: a model knows no time. Write-back may happen at any moment after a write, so a row
//! says only what stands or falls together and what a sync promises; a set of crash states
//! follows from it and a [`History`](super::History), and from nothing else.
//!
//! A row is what a file system promises, widened by what it was seen to do (Linux 6.18).

/// What a power cut may leave of a history: one field a rule.
///
/// The words: an *effect* is the smallest thing that a cut keeps or loses: one version of one
/// block, one length of a file, one change of names. A *floor* is what syncs have made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// The row's name, as options and reports give it.
    pub name: &'static str,
    /// In which order changes of names survive.
    pub names: Names,
    /// When a length survives, and what must be there before it.
    pub len: Len,
    /// What a length is that ends in a block below the floor.
    pub append: Append,
    /// What a new block inside the length shows without its data.
    pub fill: Fill,
    /// What may be found of a block that was being written.
    pub tear: Tear,
    /// Which names `sync_all` raises, beside the file's data and length.
    pub sync: Raise,
    /// Which names `sync_data` and the durable write raise.
    pub datasync: Raise,
    /// Which names `sync_dir` raises.
    pub sync_dir: RaiseDir,
    /// Of how many effects a rename is made.
    pub rename: Rename,
    /// What a rename over another file needs of the file that it puts there.
    pub replace: Replace,
}

/// In which order changes of names survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The changes of one name are a chain; different names know nothing of each other.
    PerName,
    /// One chain for the whole file system: what is there is a prefix of it.
    OneChain,
    /// One chain, in steps of whole calls; and, from the moment in which the sync of a file or
    /// directory is called, its own changes of names stand apart from the chain: they may be there
    /// without what came before. They bring the new directories above them.
    ChainPlusSynced,
    /// One chain, and data and lengths are in it too.
    Everything,
}

/// When a length survives. It is a chain for each file, and stops at every block on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Len {
    /// At any time after the write.
    Float(Needs),
    /// In its place in the chain of names.
    Chain(Needs),
}

/// What a length needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Some block of the file that was not durable yet when the length was made, in any version:
    /// the first that comes brings the length.
    Some,
    /// Its last block, as new as itself; or the next length, which is then there in its place.
    Last,
    /// Its last block, in any version since it was last cut off; or the next length, which is then
    /// there in its place.
    LastAny,
    /// Each new block below it, in any version.
    All,
}

/// What a length is that ends in a block below the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Append {
    /// A length like any other.
    AsLen,
    /// A change of names: journalled at once, and no data waits for it.
    AsName,
}

/// What a new block inside the length shows without its data. In rows whose lengths need all data
/// that only happens where a length was made by itself, by a truncation or an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Zeros.
    Zero,
    /// Zeros, or somebody's former bytes.
    ZeroOrJunk,
}

/// What may be found of a block that was being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// One version of it, whole. Also a drive that writes 4096 bytes or nothing.
    Never,
    /// In each sector of 512 bytes any version from the floor on.
    Sector,
}

/// Which names the sync of a file raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raise {
    /// None.
    Nothing,
    /// The file's own, with the new directories above them.
    OwnNames,
    /// All up to the file's creation or last change of its length.
    ToCreationOrLen,
    /// All up to the file's last change of a name or length.
    ToLastNameOrLen,
    /// Everything before, data and lengths of other files too.
    AllBefore,
}

/// Which names the sync of a directory raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaiseDir {
    /// The changes of names in it.
    NamesIn,
    /// All up to the last change of a name in it or of its own.
    ToLastItem,
    /// All changes of names.
    AllNames,
    /// Everything before.
    AllBefore,
}

/// Of how many effects a rename is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rename {
    /// One: both ends or neither.
    One,
    /// Between directories two, the new name first; both may stand.
    TwoAcrossDirs,
}

/// What a rename over another file needs of the file that it puts there, without a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Nothing: an empty file may stand under the name.
    Nothing,
    /// Its length; the bytes may be zeros.
    LenFirst,
    /// Its length and the data of its new blocks, in any version; but for those that were reserved,
    /// where lengths float.
    DataFirst,
    /// All that was done before.
    InOrder,
}

/// The weakest world that is defended against: any effect without a sync of its own may be lost
/// alone, data come in sectors, a name is durable by its directory's sync only.
pub const POSIX: Model = Model {
    name: "posix",
    names: Names::PerName,
    len: Len::Float(Needs::Nothing),
    append: Append::AsLen,
    fill: Fill::ZeroOrJunk,
    tear: Tear::Sector,
    sync: Raise::Nothing,
    datasync: Raise::Nothing,
    sync_dir: RaiseDir::NamesIn,
    rename: Rename::TwoAcrossDirs,
    replace: Replace::Nothing,
};

/// ext4 with its defaults (`data=ordered`, delayed allocation, `dioread_nolock`): names are one
/// journalled chain, a length may be there before its data, and shows zeros then.
pub const EXT4: Model = Model {
    name: "ext4",
    names: Names::OneChain,
    len: Len::Float(Needs::Nothing),
    append: Append::AsName,
    fill: Fill::Zero,
    tear: Tear::Sector,
    sync: Raise::ToLastNameOrLen,
    datasync: Raise::ToCreationOrLen,
    sync_dir: RaiseDir::AllNames,
    rename: Rename::One,
    replace: Replace::LenFirst,
};

/// ext4 with `data=writeback`: nothing waits for data. Somebody's former bytes can be witnessed
/// only with `dioread_lock` or `nodelalloc` beside it; alone it leaves what [`EXT4`] allows.
pub const EXT4_WRITEBACK: Model = Model { name: "ext4:writeback", fill: Fill::ZeroOrJunk, ..EXT4 };

/// ext4 with `dioread_lock`: new blocks are born written, so the commit that gives a block its place
/// waits for it. That brings the length up to there: blocks below it may have no place yet.
pub const EXT4_DIOREAD_LOCK: Model = Model {
    name: "ext4:dioread_lock",
    len: Len::Float(Needs::LastAny),
    replace: Replace::DataFirst,
    ..EXT4
};

/// ext4 with `nodelalloc`: blocks are allocated by the write, so the length is journalled with the
/// names.
pub const EXT4_NODELALLOC: Model =
    Model { name: "ext4:nodelalloc", len: Len::Chain(Needs::All), ..EXT4_DIOREAD_LOCK };

/// ext4 with `data=journal`: data, lengths and names are one chain. A sync raises all up to the
/// file's last data, length or name, since its data bring what was before them; of a file that
/// nothing was done to it raises nothing.
pub const EXT4_JOURNAL: Model = Model {
    name: "ext4:journal",
    names: Names::Everything,
    len: Len::Chain(Needs::Nothing),
    append: Append::AsLen,
    fill: Fill::Zero,
    tear: Tear::Never,
    sync: Raise::ToLastNameOrLen,
    datasync: Raise::ToCreationOrLen,
    sync_dir: RaiseDir::AllBefore,
    rename: Rename::One,
    replace: Replace::InOrder,
};

/// xfs: one log of names; a length comes with the data in front of it; nothing looks after a file
/// that is renamed over another.
pub const XFS: Model = Model {
    name: "xfs",
    names: Names::OneChain,
    len: Len::Float(Needs::Last),
    append: Append::AsLen,
    fill: Fill::Zero,
    tear: Tear::Sector,
    sync: Raise::ToLastNameOrLen,
    datasync: Raise::ToLastNameOrLen,
    sync_dir: RaiseDir::ToLastItem,
    rename: Rename::One,
    replace: Replace::Nothing,
};

/// btrfs: commits, and beside them a log of the files and directories that were synced by
/// themselves; no block is overwritten in place.
pub const BTRFS: Model = Model {
    name: "btrfs",
    names: Names::ChainPlusSynced,
    len: Len::Float(Needs::Some),
    append: Append::AsLen,
    fill: Fill::Zero,
    tear: Tear::Never,
    sync: Raise::OwnNames,
    datasync: Raise::OwnNames,
    sync_dir: RaiseDir::NamesIn,
    rename: Rename::TwoAcrossDirs,
    replace: Replace::Nothing,
};

/// What most programmers believe: all that was done is there up to some moment, and any sync
/// makes all before it durable.
pub const STRICT: Model = Model {
    name: "strict",
    names: Names::Everything,
    len: Len::Chain(Needs::Nothing),
    append: Append::AsLen,
    fill: Fill::Zero,
    tear: Tear::Never,
    sync: Raise::AllBefore,
    datasync: Raise::AllBefore,
    sync_dir: RaiseDir::AllBefore,
    rename: Rename::One,
    replace: Replace::InOrder,
};

impl Model {
    /// All rows that there are, from the strongest to the weakest: each allows no more than those
    /// behind it do, but for xfs and btrfs, which only `posix` is weaker than.
    pub const ALL: [Self; 9] = [
        STRICT,
        EXT4_JOURNAL,
        EXT4_NODELALLOC,
        EXT4_DIOREAD_LOCK,
        EXT4,
        EXT4_WRITEBACK,
        XFS,
        BTRFS,
        POSIX,
    ];

    /// Whether a length may need a block that could be torn before the length is known.
    pub(crate) fn may_tear_under_length(&self) -> bool {
        let (Len::Float(needs) | Len::Chain(needs)) = self.len;
        self.tear == Tear::Sector && matches!(needs, Needs::Last | Needs::LastAny | Needs::Some)
    }

    /// The row of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name == name)
    }
}

impl Default for Model {
    /// ext4, as it is mounted without options.
    fn default() -> Self {
        EXT4
    }
}

impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name)
    }
}
