//! Calls as the VFS and a page cache make them.

use std::collections::BTreeSet;

use super::rig::{Note, Rig};
use crate::machine::Errno;
use crate::machine::event::Kind as What;
use crate::machine::ids::{BlockId, EventId, Ino, OpId, PageVer, TaskId};
use crate::machine::message::{Cargo, FsReq, Kind, Msg, Sync};

const BLOCK: u64 = ondisk_fs::BLOCK as u64;

impl Rig {
    pub(super) fn ask(&mut self, note: Option<Note>, req: impl FnOnce(OpId) -> FsReq) -> OpId {
        let op = self.op();
        if let Some(note) = note {
            self.notes.insert(op, note);
        }
        let req = req(op);
        self.cx.because(EventId(0));
        self.cx.send(Msg::Fs(req));
        op
    }

    pub(super) fn call(
        &mut self,
        note: Option<Note>,
        req: impl FnOnce(OpId) -> FsReq,
    ) -> Result<Option<Ino>, Errno> {
        let op = self.ask(note, req);
        self.until(op)
    }

    pub(super) fn until(&mut self, op: OpId) -> Result<Option<Ino>, Errno> {
        while !self.answers.contains_key(&op) {
            assert!(self.step(), "no answer comes");
        }
        self.answers.remove(&op).unwrap()
    }

    pub(super) fn create(&mut self, dir: Ino, name: &str) -> Result<Ino, Errno> {
        self.make(dir, name, Kind::File)
    }

    pub(super) fn make(&mut self, dir: Ino, name: &str, kind: Kind) -> Result<Ino, Errno> {
        let name: Box<[u8]> = name.as_bytes().into();
        let note = Note::Create(dir, name.to_vec(), kind);
        let made = self.call(Some(note), |op| FsReq::Create {
            op,
            task: TaskId(1),
            dir,
            name,
            kind,
            mode: 0o644,
            target: Box::default(),
        });
        made.map(Option::unwrap)
    }

    pub(super) fn write(&mut self, ino: Ino, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        let (len, size) = (bytes.len() as u64, self.files[&ino].size);
        for page in [at / BLOCK, (at + len) / BLOCK, size / BLOCK] {
            self.page(ino, u32::try_from(page).unwrap());
        }
        let op = self.ask(None, |op| FsReq::WriteBegin { op, task: TaskId(1), ino, at, len, size });
        self.until(op)?;
        let pages = self.apply(ino, at, bytes);
        if let Some(known) = self.known.get(&ino) {
            self.recorder.write(*known, at, bytes).unwrap();
        }
        let size = self.files[&ino].size;
        self.cx.send(Msg::Fs(FsReq::WriteEnd { op, ino, size, pages }));
        while let Some(msg) = self.cx.take() {
            self.deliver(msg);
        }
        Ok(())
    }

    fn apply(&mut self, ino: Ino, at: u64, bytes: &[u8]) -> Vec<(u32, Cargo)> {
        let end = at + bytes.len() as u64;
        let (first, last) = (at / BLOCK, end.div_ceil(BLOCK));
        let mut pages = Vec::new();
        for page in first..last {
            let number = u32::try_from(page).unwrap();
            let old = self.page(ino, number);
            let (from, to) = (at.max(page * BLOCK), end.min((page + 1) * BLOCK));
            let part =
                &bytes[usize::try_from(from - at).unwrap()..usize::try_from(to - at).unwrap()];
            let content =
                self.cx.arena.patch(old, usize::try_from(from - page * BLOCK).unwrap(), part);
            let file = self.files.get_mut(&ino).unwrap();
            file.pages.insert(number, content);
            if self.journals_data {
                pages.push((number, Cargo { content, ver: PageVer(0) }));
            } else {
                file.dirty.insert(number);
            }
        }
        let file = self.files.get_mut(&ino).unwrap();
        let last = u32::try_from(file.size / BLOCK).unwrap();
        let grows = end > file.size && !file.size.is_multiple_of(BLOCK);
        if self.journals_data && grows && u64::from(last) < first {
            // What was cut off there in memory alone goes along.
            pages.insert(0, (last, Cargo { content: file.pages[&last], ver: PageVer(0) }));
        }
        file.size = file.size.max(end);
        pages
    }

    /// A page as the page cache has it, read from below if it has not.
    pub(super) fn page(&mut self, ino: Ino, page: u32) -> BlockId {
        if let Some(content) = self.files[&ino].pages.get(&page) {
            return *content;
        }
        self.cx.send(Msg::Fs(FsReq::ReadPage { ino, page, task: TaskId(1) }));
        loop {
            if let Some(content) = self.read.remove(&(ino, page)) {
                self.files.get_mut(&ino).unwrap().pages.insert(page, content);
                return content;
            }
            assert!(self.step(), "no page comes");
        }
    }

    /// Sends the dirty pages of a file down, without waiting.
    pub(super) fn start(&mut self, op: OpId, task: TaskId, ino: Ino, fail: Option<Errno>) {
        let Some(file) = self.files.get_mut(&ino) else { return };
        let (later, now) = file.dirty.iter().partition(|page| file.flying.contains(page));
        file.dirty = later;
        let now: BTreeSet<u32> = now;
        let pages: Vec<_> = now
            .into_iter()
            .map(|page| (page, Cargo { content: file.pages[&page], ver: PageVer(0) }))
            .collect();
        file.flying.extend(pages.iter().map(|(page, _)| *page));
        let size = file.size;
        if !pages.is_empty() {
            self.cx.send(Msg::Fs(FsReq::WritePages { op, task, ino, pages, size, fail }));
        }
        self.cx.send(Msg::Fs(FsReq::Unplug { task }));
    }

    /// Sends the dirty pages of a file down, and waits.
    pub(super) fn flush(&mut self, ino: Ino) {
        self.start(OpId(0), TaskId(1), ino, None);
        while !self.files[&ino].flying.is_empty() {
            assert!(self.step(), "pages do not come back");
        }
    }

    pub(super) fn sync(&mut self, ino: Ino, kind: Sync) -> Result<(), Errno> {
        self.flush(ino);
        self.call(None, |op| FsReq::Sync { op, task: TaskId(1), ino, kind }).map(|_| ())
    }

    pub(super) fn fsync(&mut self, ino: Ino) -> Result<(), Errno> {
        self.sync(ino, Sync::All)
    }

    pub(super) fn set_len(&mut self, ino: Ino, len: u64) -> Result<(), Errno> {
        while !self.files[&ino].flying.is_empty() {
            assert!(self.step(), "pages do not come back");
        }
        let old = self.files[&ino].size;
        if self.journals_data && len > old && !old.is_multiple_of(BLOCK) {
            let last = self.bytes(ino).pop().unwrap();
            self.write(ino, old - 1, &[last])?;
        }
        let last = u32::try_from(len / BLOCK).unwrap();
        let cuts = len < old && !len.is_multiple_of(BLOCK);
        let content = if cuts { self.page(ino, last) } else { BlockId::ZERO };
        let note = Note::SetLen(ino, len);
        self.call(Some(note), |op| FsReq::SetLen { op, task: TaskId(1), ino, old, len })?;
        let file = self.files.get_mut(&ino).unwrap();
        if cuts {
            let content = file.pages.get(&last).copied().unwrap_or(content);
            let keep = usize::try_from(len % BLOCK).unwrap();
            let zeros = vec![0; ondisk_fs::BLOCK - keep];
            file.pages.insert(last, self.cx.arena.patch(content, keep, &zeros));
            if !self.journals_data {
                file.dirty.insert(last);
            }
        }
        let behind = u32::try_from(len.div_ceil(BLOCK)).unwrap();
        file.pages.retain(|page, _| *page < behind);
        file.dirty.retain(|page| *page < behind);
        file.size = len;
        Ok(())
    }

    pub(super) fn unlink(&mut self, dir: Ino, name: &str, ino: Ino, open: bool) {
        let name: Box<[u8]> = name.as_bytes().into();
        let note = Note::Unlink(dir, name.to_vec());
        let gone =
            self.call(Some(note), |op| FsReq::Unlink { op, task: TaskId(1), dir, name, ino, open });
        gone.unwrap();
    }

    pub(super) fn free(&mut self, ino: Ino) {
        while self.files.get(&ino).is_some_and(|file| !file.flying.is_empty()) {
            assert!(self.step(), "pages do not come back");
        }
        self.files.remove(&ino);
        self.cx.send(Msg::Fs(FsReq::Free { ino }));
    }

    /// Waits for the syncs of a file.
    pub(super) fn finish(&mut self, ino: Ino) {
        if self.syncing.iter().any(|sync| sync.ino == ino) {
            self.run();
        }
    }

    pub(super) fn allocate(&mut self, ino: Ino, len: u64) -> Result<(), Errno> {
        let size = self.files[&ino].size;
        if self.journals_data && len > size && !size.is_multiple_of(BLOCK) {
            let last = self.bytes(ino).pop().unwrap();
            self.write(ino, size - 1, &[last])?;
        }
        let note = Note::Allocate(ino, len);
        self.call(Some(note), |op| FsReq::Allocate { op, task: TaskId(1), ino, len })?;
        let file = self.files.get_mut(&ino).unwrap();
        file.size = file.size.max(len);
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        from: (Ino, &str),
        to: (Ino, &str),
        ino: Ino,
        replaced: Option<Ino>,
    ) -> Result<(), Errno> {
        let from: (Ino, Box<[u8]>) = (from.0, from.1.as_bytes().into());
        let to: (Ino, Box<[u8]>) = (to.0, to.1.as_bytes().into());
        let replaced = replaced.map(|ino| (ino, true));
        let plain = |(dir, name): &(Ino, Box<[u8]>)| (*dir, name.to_vec());
        let note = Note::Rename(plain(&from), plain(&to));
        self.call(Some(note), |op| FsReq::Rename { op, task: TaskId(1), from, to, ino, replaced })
            .map(|_| ())
    }

    /// The bytes of a file as programs see them.
    pub(super) fn bytes(&mut self, ino: Ino) -> Vec<u8> {
        let size = self.files[&ino].size;
        let mut bytes = Vec::new();
        for page in 0..u32::try_from(size.div_ceil(BLOCK)).unwrap() {
            let content = self.page(ino, page);
            bytes.extend_from_slice(self.cx.arena.bytes(content));
        }
        bytes.truncate(usize::try_from(size).unwrap());
        bytes
    }

    /// How many events are of a kind.
    pub(super) fn count(&self, is: impl Fn(&What) -> bool) -> usize {
        self.events.iter().filter(|event| is(&event.kind)).count()
    }
}
