//! The merge: what lives in some neighbouring data files is written into one, and they go.
//!
//! ```text
//! copy what lives ─► synced, names too ─► manifest without the inputs ─► keydir ─► inputs removed
//! ```
//!
//! Invariant: whatever step fails or is cut, the state is whole: a manifest names the inputs or
//! the copy, and what it names is durable. An entry lives while it is its key's newest version; a
//! tombstone is kept while an older file is left that may hold its key. A place that a checkpoint
//! replaced meanwhile stays as the checkpoint set it.
//!
//! Knows nothing of who reads: the inputs go to the graveyard.

use std::mem;
use std::sync::{Arc, PoisonError};

use super::cask::{Cask, Claim, remove};
use super::data_file::scan::{Depth, Scan};
use super::data_file::{DataFile, Identity, Place, Span, Sums, file_name};
use super::draft::{Finished, Output};
use super::graveyard::bury;
use super::hint::{HintReader, Kind, hint_name};
use super::keydir::Newer;
use super::manifest::DataFileRecord;
use super::sabotage::BitcaskRule;
use crate::engine::{Job, Progress, Work};
use crate::error::{Damage, Error};

pub(super) mod pick;

/// What an entry costs a step beside its bytes, so that dead ones end a step too.
const ENTRY_COST: usize = 64;

/// How far back the inputs of a merge reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// There is no older file beside them.
    Oldest,
    /// There is: it may hold a key that a tombstone takes away.
    Inner,
}

/// Which of several versions of a key counts. The newest always does, but for a suite that shows
/// that it would notice otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Winner {
    Newest,
    Oldest,
}

/// A merge under way.
#[derive(Debug)]
pub(super) struct Merge {
    cask: Arc<Cask>,
    /// The inputs, oldest first.
    inputs: Vec<DataFileRecord>,
    reach: Reach,
    stage: Stage,
    /// Bytes of the copy, so far.
    written: u64,
    _claim: Claim,
}

#[derive(Debug)]
enum Stage {
    Begin,
    /// What lives is copied.
    Copy(Box<Copying>),
    /// The copy is durable; the manifest comes to name it, and the inputs no more.
    Install(Option<Box<Finished>>),
    /// The keydir learns the places of the copies.
    Move(Box<HintReader>),
    /// No key has its place in an input any more.
    Bury,
    Finished,
}

#[derive(Debug)]
struct Copying {
    sources: Vec<Source>,
    output: Option<Output>,
    value: Vec<u8>,
}

/// An input, and the entry that is next in it.
#[derive(Debug)]
struct Source {
    scan: Scan<Arc<DataFile>>,
    next: Option<Next>,
    key: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Next {
    place: Place,
    kind: Kind,
}

impl Source {
    fn open(file: Arc<DataFile>, record: DataFileRecord) -> Result<Self, Error> {
        let scan = Scan::new(file, record, record.span, Depth::Keys);
        let mut source = Self { scan, next: None, key: Vec::new() };
        source.advance()?;
        Ok(source)
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.key.clear();
        self.next = self.scan.next()?.map(|entry| {
            self.key.extend_from_slice(entry.key);
            let kind = if entry.tombstone { Kind::Tombstone } else { Kind::Put };
            Next { place: entry.place, kind }
        });
        Ok(())
    }
}

impl Copying {
    /// The source whose next entry is that of the smallest key; of several the one that wins.
    fn first(&self, winner: Winner) -> Option<usize> {
        let ahead = self.sources.iter().enumerate().filter(|(_, source)| source.next.is_some());
        let by_age = |index: usize| match winner {
            Winner::Newest => usize::MAX - index,
            Winner::Oldest => index,
        };
        ahead.min_by_key(|(index, source)| (&source.key, by_age(*index))).map(|(index, _)| index)
    }

    /// Passes over the entries of a key in all sources but one, and last in that one.
    fn pass(&mut self, index: usize) -> Result<(), Error> {
        let key = mem::take(&mut self.sources[index].key);
        for (at, source) in self.sources.iter_mut().enumerate() {
            // The one whose key was taken looks like one at the empty key.
            if at != index && source.next.is_some() && source.key == key {
                source.advance()?;
            }
        }
        self.sources[index].key = key;
        self.sources[index].advance()
    }
}

impl Merge {
    pub(super) fn new(
        claim: Claim,
        cask: Arc<Cask>,
        inputs: &[DataFileRecord],
        reach: Reach,
    ) -> Self {
        let (inputs, stage) = (inputs.to_vec(), Stage::Begin);
        Self { cask, inputs, reach, stage, written: 0, _claim: claim }
    }

    fn begin(&self) -> Result<Stage, Error> {
        let files = self.cask.shared.keydir().files().clone();
        let sources = self.inputs.iter().map(|&record| match files.get(&record.number) {
            Some(file) => Source::open(Arc::clone(file), record),
            None => {
                let path = self.cask.site.dir.join(file_name(record.number));
                Err(Error::damaged(&path, 0, Damage::Missing))
            }
        });
        let sources = sources.collect::<Result<_, _>>()?;
        Ok(Stage::Copy(Box::new(Copying { sources, output: None, value: Vec::new() })))
    }

    fn copy(&self, bytes: usize, mut copying: Box<Copying>) -> Result<Stage, Error> {
        let broken = self.cask.breaks(BitcaskRule::OlderWins);
        let winner = if broken { Winner::Oldest } else { Winner::Newest };
        let mut done = 0;
        while done < bytes {
            let Some(index) = copying.first(winner) else {
                let Copying { output, .. } = *copying; // the inputs are let go of
                let finished = output.map(Output::finish).transpose()?;
                return Ok(Stage::Install(finished.map(Box::new)));
            };
            done += self.copy_entry(&mut copying, index)?;
            copying.pass(index)?;
        }
        Ok(Stage::Copy(copying))
    }

    /// Copies the entry that is next in a source, if it must be; what that cost.
    fn copy_entry(&self, copying: &mut Copying, index: usize) -> Result<usize, Error> {
        let Copying { sources, output, value } = copying;
        let source = &mut sources[index];
        let Some(Next { place, kind }) = source.next else { return Ok(0) };
        let keydir = self.cask.shared.keydir();
        let needed = match kind {
            Kind::Put => keydir.is_live(&source.key, place.lsn),
            Kind::Tombstone => {
                let dropped = self.cask.breaks(BitcaskRule::MergeDropsTombstone);
                // Where the key lives, a newer entry of it is in a newer file.
                self.reach == Reach::Inner && !dropped && keydir.place(&source.key).is_none()
            }
        };
        drop(keydir);
        if !needed {
            return Ok(ENTRY_COST);
        }
        let made = match output.take() {
            Some(output) => output,
            None => Output::create(&self.cask, self.span())?,
        };
        let output = output.insert(made);
        value.clear();
        if kind == Kind::Put {
            source.scan.read_value(value)?;
        }
        output.push(place.lsn, &source.key, (kind == Kind::Put).then_some(&value[..]))?;
        Ok(ENTRY_COST + source.key.len() + value.len())
    }

    /// The commits that the inputs' entries come from.
    fn span(&self) -> Span {
        let after = self.inputs.first().map_or(Span::UNKNOWN.after, |file| file.span.after);
        let through = self.inputs.last().map_or(Span::UNKNOWN.through, |file| file.span.through);
        Span { after, through }
    }

    fn install(&self, work: &Work<'_>, mut copy: Option<Box<Finished>>) -> Result<Stage, Error> {
        if self.cask.breaks(BitcaskRule::InputsRemovedEarly) {
            self.remove_inputs();
        }
        if let Some(copy) = &mut copy {
            copy.draft.trying();
        }
        let record = copy.as_ref().map(|copy| copy.record);
        self.cask.install(work, |manifest| {
            let is_input =
                |file: &DataFileRecord| self.inputs.iter().any(|input| input.number == file.number);
            let at = manifest.files.iter().position(is_input).unwrap_or_default();
            manifest.files.retain(|file| !is_input(file));
            if let Some(record) = record {
                manifest.files.insert(at, record);
            }
        })?;
        let Some(copy) = copy else { return Ok(Stage::Bury) };
        let Finished { record, data, draft } = *copy;
        draft.keep();
        let mut written = self.cask.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.reclaim += record.len + record.hint_len;
        drop(written);
        self.cask.add_file(record.number, data);
        let site = &self.cask.site;
        let (store, keyspace, number) = (site.store, site.keyspace, record.number);
        let identity = Identity { store, keyspace, number };
        let reader = HintReader::open(&*site.fs, &site.dir, identity, record, Sums::Checked)?;
        Ok(Stage::Move(Box::new(reader)))
    }

    /// Gives some keys the places of their copies.
    fn move_keys(&self, mut reader: Box<HintReader>) -> Result<Stage, Error> {
        let lost = self.cask.breaks(BitcaskRule::NewerPlaceLost);
        let newer = if lost { Newer::Lost } else { Newer::Stays };
        let Some(hints) = reader.next_section()? else { return Ok(Stage::Bury) };
        let mut keydir = self.cask.shared.keydir_mut();
        for hint in hints {
            match hint.kind {
                Kind::Put => keydir.move_to(hint.key, hint.place, newer),
                Kind::Tombstone => keydir.count_tombstone(hint.key.len(), hint.place),
            }
        }
        drop(keydir);
        Ok(Stage::Move(reader))
    }

    fn bury(&self, work: &Work<'_>) -> Stage {
        let mut graveyard = self.cask.graveyard();
        let keydir = self.cask.shared.keydir();
        self.inputs.iter().for_each(|file| graveyard.add(file.number, &keydir, work.pins));
        drop(keydir);
        drop(graveyard);
        bury(&self.cask, work);
        self.cask.look_at_pressure();
        Stage::Finished
    }

    /// The canary's way.
    fn remove_inputs(&self) {
        for file in &self.inputs {
            for name in [file_name(file.number), hint_name(file.number)] {
                remove(&*self.cask.site.fs, &self.cask.site.dir.join(name)).ok();
            }
        }
    }
}

impl Job for Merge {
    fn step(&mut self, work: &Work<'_>) -> Result<Progress, Error> {
        // After an error the job is at its end. Where the manifest is in place already, the keys
        // that were not moved have their places in the inputs, which stay.
        self.stage = match mem::replace(&mut self.stage, Stage::Finished) {
            Stage::Begin => self.begin()?,
            Stage::Copy(copying) => self.copy(work.bytes, copying)?,
            Stage::Install(copy) => self.install(work, copy)?,
            Stage::Move(reader) => self.move_keys(reader)?,
            Stage::Bury => self.bury(work),
            Stage::Finished => Stage::Finished,
        };
        match &self.stage {
            Stage::Copy(copying) => {
                self.written = copying.output.as_ref().map_or(0, Output::bytes);
            }
            Stage::Install(Some(copy)) => self.written = copy.record.len + copy.record.hint_len,
            _ => {}
        }
        let finished = matches!(self.stage, Stage::Finished);
        Ok(if finished { Progress::Finished } else { Progress::Working })
    }

    fn written(&self) -> u64 {
        self.written
    }
}
