//! The page of `ondisk-player` as a file: what it opens with, and where it is written.
//!
//! Invariant: what is at a place of our choosing already is replaced, never opened: who put it
//! there may mean harm, and temporary files are anybody's.

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use ondisk_player::{Data, Knobs, Moment, Script, write_page};

use crate::exit::Failure;
use crate::sim::config::{Config, word};
use crate::sim::input::Source;

/// What a page opens with.
#[derive(Debug)]
pub(crate) enum Scene {
    /// What is in the page.
    Opening,
    /// A script on its machine.
    Script(Box<Scripted>),
    /// A run that was made elsewhere.
    Timeline { name: String, text: String },
}

/// A script, its machine in words, and the moment that is looked at.
#[derive(Debug)]
pub(crate) struct Scripted {
    name: String,
    text: String,
    fs: String,
    mount: String,
    scheduler: String,
    drive: String,
    profile: &'static str,
    seed: u64,
    moment: Option<Moment>,
}

impl Scene {
    /// A script on a machine.
    pub(crate) fn script(source: &Source, config: &Config, moment: Option<Moment>) -> Self {
        Self::Script(Box::new(Scripted {
            name: title(&source.name),
            text: source.text.clone(),
            fs: word(config.fs),
            mount: config.mount_words(),
            scheduler: word(config.scheduler),
            drive: word(config.drive),
            profile: config.profile.name,
            seed: config.seed,
            moment,
        }))
    }

    /// A timeline.
    pub(crate) fn timeline(source: Source) -> Self {
        Self::Timeline { name: title(&source.name), text: source.text }
    }

    /// Which of them, in a word.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Script(_) => "script",
            Self::Timeline { .. } => "timeline",
        }
    }

    /// What it is called; the opening scene has no name.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Opening => None,
            Self::Script(script) => Some(&script.name),
            Self::Timeline { name, .. } => Some(name),
        }
    }

    /// As the page takes it.
    pub(crate) fn data(&self) -> Data<'_> {
        match self {
            Self::Opening => Data::Opening,
            Self::Timeline { name, text } => Data::Timeline { name, text },
            Self::Script(it) => Data::Script(Script {
                name: &it.name,
                text: &it.text,
                knobs: Knobs {
                    fs: &it.fs,
                    mount: &it.mount,
                    scheduler: &it.scheduler,
                    drive: &it.drive,
                    profile: it.profile,
                    seed: it.seed,
                },
                moment: it.moment,
            }),
        }
    }
}

/// What an input is called: the last part of its path.
fn title(name: &str) -> String {
    let last = Path::new(name).file_name().map(|last| last.to_string_lossy().into_owned());
    last.filter(|last| last != "-").unwrap_or_else(|| "standard input".to_owned())
}

#[expect(clippy::disallowed_types, reason = "a page is no store: it is written as any text is")]
type File = std::fs::File;

/// Writes the page to a file.
pub(crate) fn write(path: &Path, data: &Data<'_>) -> Result<(), Failure> {
    let written = File::create(path).and_then(|file| write_to(file, data));
    written.map_err(|source| Failure::Page { path: path.to_owned(), source })
}

/// Writes the page to where temporary files are, as `STEM.html`, or beside what it may not replace
/// there under a name of its own; says where.
pub(crate) fn write_temporary(stem: &str, data: &Data<'_>) -> Result<PathBuf, Failure> {
    let dir = std::env::temp_dir();
    let path = dir.join(format!("{stem}.html"));
    write_or_replace(&path, stem, data)
        .map_err(|source| Failure::Page { path: path.clone(), source })
}

fn write_or_replace(path: &Path, stem: &str, data: &Data<'_>) -> io::Result<PathBuf> {
    let dir = path.parent().unwrap_or(path);
    let mut made = tempfile::Builder::new();
    let file = made.prefix(&format!("{stem}-")).suffix(".html").tempfile_in(dir)?;
    write_to(file.as_file(), data)?;
    match file.persist(path) {
        Ok(_) => Ok(path.to_owned()),
        Err(refused) => Ok(refused.file.keep()?.1),
    }
}

fn write_to(file: impl io::Write, data: &Data<'_>) -> io::Result<()> {
    let mut to = BufWriter::new(file);
    write_page(&mut to, data)?;
    to.flush()
}

#[cfg(test)]
mod tests;
