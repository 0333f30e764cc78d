//! A record: what one `write` or `pwrite` of the script brought.
//!
//! Invariant: a record keeps the bytes and the place in the file that it had when it was written;
//! under which name its file stands is asked anew at each moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ondisk_sim::Image;
use ondisk_sim::machine::Play;
use ondisk_sim::machine::play::Seen;
use ondisk_sim::ops::Ino;

use crate::json::Json;
use crate::words;

/// What one step wrote.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) task: u32,
    pub(crate) line: u32,
    /// The name by which the file was opened.
    pub(crate) path: PathBuf,
    pub(crate) ino: Option<Ino>,
    pub(crate) at: u64,
    /// The name that its file has now; `None` where it has none.
    pub(crate) name: Option<PathBuf>,
    /// Where it ends is not certain before it is there: others may append too.
    appended: bool,
    pub(crate) bytes: Arc<[u8]>,
}

impl Record {
    /// What a program was seen to write; `None` where that is nothing.
    pub(crate) fn of(seen: &Seen, play: &Play) -> Option<Self> {
        let Seen::Wrote { task, place, path, ino, at, held, bytes } = seen else { return None };
        if bytes.is_empty() {
            return None;
        }
        let path = PathBuf::from(String::from_utf8_lossy(path.as_bytes()).into_owned());
        let mut record = Self {
            task: task.0.saturating_sub(1),
            line: place.line,
            name: Some(path.clone()),
            path,
            ino: *ino,
            at: at.unwrap_or(0),
            appended: at.is_none(),
            bytes: Arc::clone(bytes),
        };
        if record.appended {
            let shown = play.sim().shown();
            let name = record.name_in(play, &shown);
            let len = name.and_then(|name| shown.bytes(name).map(<[u8]>::len)).unwrap_or(0);
            record.at = (len as u64).saturating_add(*held);
        }
        Some(record)
    }

    /// The name that its file has in what the page cache shows now.
    pub(crate) fn name_in(&self, play: &Play, shown: &Image) -> Option<PathBuf> {
        let is_it = |path: &Path| match self.ino {
            Some(ino) => shown.bytes(path).is_some() && play.sim().known(path) == Some(ino),
            None => shown.bytes(path).is_some(),
        };
        if is_it(&self.path) {
            return Some(self.path.clone());
        }
        self.ino?;
        shown.files().map(|(path, _)| path).find(|path| is_it(path)).map(Path::to_owned)
    }

    /// The same under another name.
    pub(crate) fn named(&self, name: Option<PathBuf>) -> Self {
        Self { name, ..self.clone() }
    }

    /// Whether an image holds it, under the name that it has now.
    pub(crate) fn is_there(&self, image: &Image) -> bool {
        let content = self.name.as_ref().and_then(|name| image.bytes(name));
        content.is_some_and(|content| self.is_in(content))
    }

    /// Whether a file holds it.
    pub(crate) fn is_in(&self, content: &[u8]) -> bool {
        let Ok(from) = usize::try_from(self.at) else { return false };
        let Some(to) = from.checked_add(self.bytes.len()) else { return false };
        content.get(from..to) == Some(&*self.bytes)
    }

    /// Finds where its bytes came to, if somebody else appended before.
    pub(crate) fn find(&mut self, content: &[u8]) {
        let Ok(from) = usize::try_from(self.at) else { return };
        if !self.appended || self.is_in(content) {
            return;
        }
        let rest = content.get(from..).unwrap_or_default();
        let found =
            rest.windows(self.bytes.len()).take(words::SHOWN).position(|at| at == &*self.bytes);
        if let Some(behind) = found {
            self.at += behind as u64;
        }
    }

    pub(crate) fn tell(&self, n: usize, json: &mut Json) {
        json.open('{').field("n").number(n as u64);
        json.field("task").number(self.task.into()).field("line").number(self.line.into());
        json.field("file").string(&self.path.display().to_string());
        json.field("text").string(&words::text(&self.bytes));
        json.field("bytes").number(self.bytes.len() as u64);
        json.field("offset").number(self.at).close('}');
    }
}
