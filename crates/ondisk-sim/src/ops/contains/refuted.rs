//! Why a cut cannot leave an image, in a sentence.
//!
//! Invariant: the place and the rule are those of the attempt that came nearest: what it says is
//! true of that attempt, and every other one failed earlier or as late.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use ondisk_fs::BLOCK;

use crate::ops::model::Model;

/// A refutation: where, and which rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refuted {
    /// The path in the image.
    pub path: PathBuf,
    /// The block, when it is the content that is wrong.
    pub block: Option<u32>,
    /// The rule.
    pub rule: Rule,
    /// The model.
    pub model: &'static str,
    /// How much of the image was found right before.
    pub(super) reached: usize,
}

/// Which rule an image breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// No file ever had this name.
    NeverNamed,
    /// The name is there, and cannot be together with the other names.
    NoSuchName,
    /// The name is not there, and must be together with the other names.
    #[default]
    MissingName,
    /// Something of another kind stands there.
    Kind,
    /// Names are one file that cannot be, or are not that must be.
    Links,
    /// A symbolic link stands for something else.
    Target,
    /// The length is none of these.
    Length(Vec<u64>),
    /// The block holds none of its versions from the floor on, nor what stands without one.
    Content,
}

impl Refuted {
    pub(super) fn names(path: PathBuf, rule: Rule) -> Self {
        Self { path, rule, ..Self::default() }
    }

    pub(super) fn block(path: PathBuf, block: Option<u32>, rule: Rule) -> Self {
        Self { path, block, rule, ..Self::default() }
    }

    pub(super) fn under(self, model: &Model) -> Self {
        Self { model: model.name, ..self }
    }
}

impl fmt::Display for Refuted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.to_string_lossy();
        match &self.rule {
            Rule::NeverNamed => write!(f, "`{path}`: no call ever made that name")?,
            Rule::NoSuchName => write!(
                f,
                "`{path}` is there: no order of the changes of names that is allowed has it \
                 together with the other names"
            )?,
            Rule::MissingName => write!(
                f,
                "`{path}` is not there: it is durable, or comes before other names that are"
            )?,
            Rule::Kind => write!(f, "`{path}`: a file, directory or link in place of another")?,
            Rule::Links => {
                write!(f, "`{path}`: it is one file with other names, or is not and must be")?;
            }
            Rule::Target => write!(f, "`{path}`: the link stands for another path")?,
            Rule::Length(may_be) => {
                let may_be: Vec<String> = may_be.iter().map(u64::to_string).collect();
                write!(f, "`{path}`: its length may be {} alone", may_be.join(" or "))?;
            }
            Rule::Content => {
                let block = self.block.unwrap_or(0);
                let start = u64::from(block) * BLOCK as u64;
                write!(
                    f,
                    "`{path}`, block {block} (byte {start} on): none of the contents that it may \
                     have, from the last durable one on"
                )?;
            }
        }
        if self.model.is_empty() { Ok(()) } else { write!(f, " (model {})", self.model) }
    }
}

impl Error for Refuted {}
