//! Whole file trees that a death may leave, and what their files are in words.
//!
//! Invariant: a file is put into words once in each tree, however often that is asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ondisk_sim::Image;

use crate::words;

/// Some trees.
#[derive(Debug, Default)]
pub(crate) struct Pictures {
    all: Vec<(Image, BTreeMap<PathBuf, String>)>,
}

impl Pictures {
    pub(crate) fn of(images: Vec<Image>) -> Self {
        Self { all: images.into_iter().map(|image| (image, BTreeMap::new())).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn images(&self) -> impl Iterator<Item = &Image> {
        self.all.iter().map(|(image, _)| image)
    }

    /// What a file is in one of them: `"record 1"`, `absent`.
    pub(crate) fn is(&mut self, nth: usize, path: &Path) -> String {
        let Some((image, told)) = self.all.get_mut(nth) else { return String::new() };
        if let Some(told) = told.get(path) {
            return told.clone();
        }
        let is = words::is(image, path);
        told.insert(path.to_owned(), is.clone());
        is
    }

    /// What a file is in all of them: each thing once.
    pub(crate) fn may_be(&mut self, path: &Path) -> Vec<String> {
        let mut all = Vec::new();
        for nth in 0..self.len() {
            let one = self.is(nth, path);
            if !all.contains(&one) {
                all.push(one);
            }
        }
        all
    }
}
