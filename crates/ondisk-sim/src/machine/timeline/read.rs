//! Reading a timeline.
//!
//! Invariant: nothing is believed: every change is held against what the cells hold, every key
//! line against what the changes made, and the whole against its digest. A line is refused before
//! it is longer than [`LINE`], and what is kept is a small multiple of the lines.

use std::io::{BufRead, Read};

use super::cells::{CELLS, Cell, Cells, Named, Run, Span};
use super::error::TimelineError;
use super::json::{Json, Wrong};
use super::{Blob, CHANGES, EVENTS, Header, Key, LINE, Row, Timeline, VERSION, base64};
use crate::machine::digest::Digest;
use crate::machine::ids::Ns;
use crate::ops::digest::bytes_digest;

impl Timeline {
    /// Reads a timeline to its end, and stands at its beginning.
    ///
    /// # Errors
    /// What [`TimelineError`] says: it is no timeline, or newer, cut off, damaged or too large.
    pub fn read(from: &mut dyn BufRead) -> Result<Self, TimelineError> {
        let mut loader = Loader::default();
        let mut line = Vec::new();
        while !loader.ended {
            loader.line += 1;
            if !read_line(from, &mut line, &loader)? {
                return Err(TimelineError::Truncated { events: loader.timeline.rows.len() });
            }
            loader.take(&line)?;
        }
        loader.line += 1;
        if from.fill_buf()?.is_empty() {
            let mut timeline = loader.timeline;
            timeline.seek(0);
            Ok(timeline)
        } else {
            Err(TimelineError::Behind { line: loader.line })
        }
    }
}

/// Reads a line without its end; says no when there is no whole one.
fn read_line(
    from: &mut dyn BufRead,
    line: &mut Vec<u8>,
    loader: &Loader,
) -> Result<bool, TimelineError> {
    line.clear();
    let limit = u64::try_from(LINE).unwrap_or(u64::MAX);
    from.take(limit).read_until(b'\n', line)?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(true);
    }
    if line.len() == LINE {
        return Err(TimelineError::Long { line: loader.line, limit: LINE });
    }
    Ok(false)
}

/// A timeline in the making. Its cells are those behind the last event read.
#[derive(Debug)]
struct Loader {
    timeline: Timeline,
    line: u64,
    begun: bool,
    ended: bool,
    changes: usize,
    /// Cells that changed since the last key.
    since: usize,
}

impl Default for Loader {
    fn default() -> Self {
        let timeline = Timeline {
            header: Header::default(),
            rows: Vec::new(),
            runs: Vec::new(),
            words: String::new(),
            kinds: Vec::new(),
            keys: Vec::new(),
            blobs: std::collections::BTreeMap::new(),
            digest: Digest::default(),
            at: 0,
            cells: Cells::default(),
        };
        Self { timeline, line: 0, begun: false, ended: false, changes: 0, since: 0 }
    }
}

impl Loader {
    fn take(&mut self, line: &[u8]) -> Result<(), TimelineError> {
        let json = std::str::from_utf8(line)
            .map_err(|error| Wrong { at: error.valid_up_to(), wanted: "UTF-8" })
            .and_then(Json::parse);
        let json = match json {
            Ok(json) => json,
            Err(_) if !self.begun => return Err(TimelineError::Other),
            Err(Wrong { at, wanted }) => {
                return Err(TimelineError::Syntax { line: self.line, column: at + 1, wanted });
            }
        };
        if !self.begun {
            self.header(&json)?;
            self.begun = true;
        } else if json.get("i").is_some() {
            self.event(&json)?;
        } else if json.get("blob").is_some() {
            self.blob(&json)?;
        } else if json.get("key").is_some() {
            self.key(&json)?;
        } else if json.get("end").is_some() {
            return self.end(&json);
        }
        let Digest(a, b) = bytes_digest(line);
        self.timeline.digest.add(a);
        self.timeline.digest.add(b);
        Ok(())
    }

    fn wrong(&self, field: &'static str) -> TimelineError {
        TimelineError::Field { line: self.line, field }
    }

    fn many(&self, what: &'static str, limit: usize) -> TimelineError {
        TimelineError::Many { line: self.line, what, limit }
    }

    fn header(&mut self, json: &Json<'_>) -> Result<(), TimelineError> {
        if json.get("ondisk").and_then(Json::text) != Some("timeline") {
            return Err(TimelineError::Other);
        }
        let version = json.get("v").and_then(Json::number).ok_or(self.wrong("v"))?;
        if version > VERSION {
            return Err(TimelineError::Newer { version, known: VERSION });
        }
        if version == 0 {
            return Err(self.wrong("v"));
        }
        let config = json.get("config").and_then(Json::pairs).unwrap_or_default().iter();
        let texts = config.filter_map(|(name, value)| Some((name, value.text()?)));
        self.timeline.header = Header {
            seed: self.number(json, "seed")?,
            config: texts.map(|(name, value)| (name.to_string(), value.into())).collect(),
            script: json.get("script").and_then(Json::text).unwrap_or_default().into(),
        };
        Ok(())
    }

    /// A number that has to be there.
    fn number(&self, json: &Json<'_>, field: &'static str) -> Result<u64, TimelineError> {
        json.get(field).and_then(Json::number).ok_or(self.wrong(field))
    }

    /// A number that is 0 when it is not there.
    fn or_0<N: TryFrom<u64>>(
        &self,
        json: &Json<'_>,
        field: &'static str,
    ) -> Result<N, TimelineError> {
        let number = json.get(field).map_or(Some(0), Json::number);
        number.and_then(|number| number.try_into().ok()).ok_or(self.wrong(field))
    }

    fn event(&mut self, json: &Json<'_>) -> Result<(), TimelineError> {
        let number = self.number(json, "i")?;
        if self.timeline.rows.last().is_some_and(|last| last.number >= number) {
            return Err(self.wrong("i"));
        }
        if self.timeline.rows.len() == EVENTS {
            return Err(self.many("events", EVENTS));
        }
        let kind = json.get("k").and_then(Json::text).ok_or(self.wrong("k"))?;
        let kind = self.kind(kind)?;
        let mut row = Row {
            number,
            at: Ns(self.number(json, "t")?),
            cause: self.or_0(json, "c")?,
            op: self.or_0(json, "op")?,
            ver: self.or_0(json, "ver")?,
            kind,
            layer: self.or_0(json, "l")?,
            runs: 0,
            words: 0,
        };
        if let Some(deltas) = json.get("d") {
            for delta in deltas.list().ok_or(self.wrong("d"))? {
                self.delta(delta)?;
            }
        }
        self.timeline.words.push_str(json.get("m").and_then(Json::text).unwrap_or_default());
        (row.runs, row.words) = (self.timeline.runs.len(), self.timeline.words.len());
        self.timeline.rows.push(row);
        self.timeline.at += 1;
        Ok(())
    }

    fn kind(&mut self, kind: &str) -> Result<u16, TimelineError> {
        let kinds = &mut self.timeline.kinds;
        let at = kinds.iter().position(|own| own == kind).unwrap_or_else(|| {
            kinds.push(kind.into());
            kinds.len() - 1
        });
        // Each is looked for among all: few enough that this is no work.
        const KINDS: usize = 256;
        if at < KINDS { u16::try_from(at).ok() } else { None }.ok_or(self.many("kinds", KINDS))
    }

    fn delta(&mut self, delta: &Json<'_>) -> Result<(), TimelineError> {
        let texts = match delta.list() {
            Some([cell, old, new, ..]) => (cell.text(), old.text(), new.text()),
            _ => return Err(self.wrong("d")),
        };
        let (Some(cell), Some(old), Some(new)) = texts else { return Err(self.wrong("d")) };
        let (cell, len) = match Cell::parse(cell).ok_or(self.wrong("d"))? {
            Named::Run(cell, len) => (cell, len),
            Named::Other => return Ok(()),
        };
        let old = Span::parse(old).ok_or(self.wrong("d"))?;
        let new = Span::parse(new).ok_or(self.wrong("d"))?;
        let run = Run { cell, len, old, new };
        self.count(len)?;
        for (cell, old, new) in run.iter() {
            if self.timeline.cells.set(cell, new) != old {
                return Err(TimelineError::Misfit { line: self.line, cell: cell.to_string() });
            }
        }
        if self.timeline.cells.len() > CELLS {
            return Err(self.many("cells", CELLS));
        }
        self.timeline.runs.push(run);
        Ok(())
    }

    /// So many cells more change.
    fn count(&mut self, len: u32) -> Result<(), TimelineError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > CELLS {
            return Err(self.many("cells", CELLS));
        }
        (self.changes, self.since) = (self.changes + len, self.since + len);
        if self.changes > CHANGES { Err(self.many("changes", CHANGES)) } else { Ok(()) }
    }

    fn key(&mut self, json: &Json<'_>) -> Result<(), TimelineError> {
        let after = self.timeline.rows.len();
        if self.number(json, "key")? != after as u64 {
            return Err(self.wrong("key"));
        }
        // One that comes sooner than its cells are worth is of no use, and would cost too much.
        if self.since < self.timeline.cells.len() {
            return Ok(());
        }
        self.since = 0;
        let (mut runs, mut len) = (Vec::new(), 0_usize);
        for (cell, value) in json.get("cells").and_then(Json::pairs).ok_or(self.wrong("cells"))? {
            let (cell, count) = match Cell::parse(cell).ok_or(self.wrong("cells"))? {
                Named::Run(cell, count) => (cell, count),
                Named::Other => continue,
            };
            let value = value.text().and_then(Span::parse).ok_or(self.wrong("cells"))?;
            len = len.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
            runs.push(Run { cell, len: count, old: value, new: value });
        }
        let misfit = || TimelineError::Misfit { line: self.line, cell: "all cells".into() };
        if len != self.timeline.cells.len() {
            return Err(misfit());
        }
        let mut cells = Cells::default();
        for (cell, _, value) in runs.iter().flat_map(Run::iter) {
            cells.set(cell, value);
        }
        if cells != self.timeline.cells {
            return Err(misfit());
        }
        self.timeline.keys.push(Key { after, runs });
        Ok(())
    }

    fn blob(&mut self, json: &Json<'_>) -> Result<(), TimelineError> {
        let ver = self.number(json, "blob")?;
        let ver = u32::try_from(ver).map_err(|_| self.wrong("blob"))?;
        let text = json.get("b64").and_then(Json::text);
        let blob = Blob {
            len: self.number(json, "len")?,
            bytes: text.and_then(base64::decode).ok_or(self.wrong("b64"))?,
            ino: self.or_0(json, "ino")?,
            page: self.or_0(json, "page")?,
            from: self.or_0(json, "at")?,
            op: self.or_0(json, "op")?,
            before: self.or_0(json, "before")?,
        };
        if (blob.bytes.len() as u64) > blob.len || self.timeline.blobs.insert(ver, blob).is_some() {
            return Err(self.wrong("blob"));
        }
        Ok(())
    }

    fn end(&mut self, json: &Json<'_>) -> Result<(), TimelineError> {
        if self.number(json, "end")? != self.timeline.rows.len() as u64 {
            return Err(self.wrong("end"));
        }
        let Digest(a, b) = self.timeline.digest;
        let digest = json.get("digest").and_then(Json::text).ok_or(self.wrong("digest"))?;
        if digest != format!("{a:016x}{b:016x}") {
            return Err(TimelineError::Digest);
        }
        self.ended = true;
        Ok(())
    }
}
