//! The page that plays a write on its way to disk, and what is put into it.
//!
//! The page is one HTML file without a network: the simulation is in it. [`page`] puts a script or a
//! timeline into it, so that this is what it opens with.
//!
//! ```
//! use ondisk_player::{Data, Knobs, Script};
//! let script = Script {
//!     name: "first.ondisk",
//!     text: "open f create; write f \"A\"; flush f; fsync f",
//!     knobs: Knobs::default(),
//!     moment: None,
//! };
//! let page = ondisk_player::page(&Data::Script(script));
//! assert!(page.contains("<title>first.ondisk — is it on disk?</title>"));
//! ```
//!
//! Invariant: whatever a name or a text holds, it stays text: between the two tags that
//! [`write_page`] adds there is no `<`, and in the title there is none either.
//!
//! Knows nothing of the simulation, of what a script means, or of what a timeline says. The page is
//! built from `web/`; what is put into it is read there, by `web/src/data.ts`:
//!
//! ```json
//! {"kind":"script","name":"first.ondisk","text":"open f create",
//!  "knobs":{"fs":"ext4","mount":"ordered","scheduler":"none","drive":"volatile",
//!           "profile":"rust","seed":"1"},
//!  "at":40,"death":"cut"}
//! {"kind":"timeline","name":"run.timeline","text":"{\"ondisk\":\"timeline\", …"}
//! ```
//!
//! `at` and `death` may be missing. The words of `knobs` are those of the options of `ondisk sim`;
//! the seed is a text, for a JSON number is exact to 53 bits only.

mod json;

use std::io::{self, Write};

/// The page as `web/build.mjs` writes it.
const PAGE: &str = include_str!("../dist/player.html");

/// Where the data goes.
const PLACE: &str = "<!--ondisk-data-->";

/// The longest timeline that a page can hold, in bytes: browsers bound the length of a text, and
/// this one is longer by its escapes.
pub const LONGEST_TIMELINE: u64 = 256 << 20;

/// What the page opens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// The opening scene, which is in the page.
    Opening,
    /// A script, to be run in the page.
    Script(Script<'a>),
    /// A run that was made elsewhere.
    Timeline {
        /// What it is called.
        name: &'a str,
        /// Its lines, as `docs/format/timeline.md` has them; the page checks them.
        text: &'a str,
    },
}

/// A script and what it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script<'a> {
    /// What it is called.
    pub name: &'a str,
    /// The script; the page says where it is none.
    pub text: &'a str,
    /// The machine.
    pub knobs: Knobs<'a>,
    /// The moment at which the page opens; none: the first.
    pub moment: Option<Moment>,
}

/// The machine, in the words of the options of `ondisk sim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the option of its name")]
pub struct Knobs<'a> {
    pub fs: &'a str,
    /// Several with commas.
    pub mount: &'a str,
    pub scheduler: &'a str,
    pub drive: &'a str,
    pub profile: &'a str,
    pub seed: u64,
}

impl Default for Knobs<'_> {
    fn default() -> Self {
        Self {
            fs: "ext4",
            mount: "ordered",
            scheduler: "none",
            drive: "volatile",
            profile: "rust",
            seed: 1,
        }
    }
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The number of the event that was last; 0 is before the first.
    pub at: u64,
    /// The death that is looked at there.
    pub death: Option<Death>,
}

/// A way to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The power goes.
    Cut,
    /// The kernel crashes.
    Crash,
    /// The process is killed.
    Kill,
}

impl Death {
    fn word(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Crash => "crash",
            Self::Kill => "kill",
        }
    }
}

impl Data<'_> {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Opening => None,
            Self::Script(Script { name, .. }) | Self::Timeline { name, .. } => Some(name),
        }
    }
}

/// The page that opens with this.
#[must_use]
pub fn page(data: &Data<'_>) -> String {
    let mut page = Vec::new();
    // A vector takes whatever is written to it.
    write_page(&mut page, data).unwrap_or_default();
    String::from_utf8(page).unwrap_or_default()
}

/// Writes the page that opens with this, without a second copy of it in memory.
///
/// # Errors
///
/// Those of `to`.
pub fn write_page(to: &mut impl Write, data: &Data<'_>) -> io::Result<()> {
    let Some(name) = data.name() else { return to.write_all(PAGE.as_bytes()) };
    let (before, rest) = between(PAGE, "<title>", "</title>");
    to.write_all(before.as_bytes())?;
    write!(to, "{} — is it on disk?", in_title(name))?;
    let (before, after) = rest.split_once(PLACE).unwrap_or((rest, ""));
    to.write_all(before.as_bytes())?;
    to.write_all(b"<script type=\"application/json\" id=\"ondisk-data\">")?;
    write_data(to, data)?;
    to.write_all(b"</script>")?;
    to.write_all(after.as_bytes())
}

/// The page's content security policy: what serves the page may send it as a header too.
#[must_use]
pub fn policy() -> &'static str {
    let (_, rest) = split_behind(PAGE, "http-equiv=\"Content-Security-Policy\" content=\"");
    rest.split('"').next().unwrap_or_default()
}

fn write_data(to: &mut impl Write, data: &Data<'_>) -> io::Result<()> {
    match data {
        Data::Opening => Ok(()),
        Data::Timeline { name, text } => {
            json::members(to, &[("kind", "timeline"), ("name", name), ("text", text)])?;
            to.write_all(b"}")
        }
        Data::Script(Script { name, text, knobs, moment }) => {
            json::members(to, &[("kind", "script"), ("name", name), ("text", text)])?;
            to.write_all(b",\"knobs\":")?;
            let Knobs { fs, mount, scheduler, drive, profile, seed } = knobs;
            let all = [
                ("fs", *fs),
                ("mount", mount),
                ("scheduler", scheduler),
                ("drive", drive),
                ("profile", profile),
                ("seed", &seed.to_string()),
            ];
            json::members(to, &all)?;
            to.write_all(b"}")?;
            if let Some(Moment { at, death }) = moment {
                write!(to, ",\"at\":{at}")?;
                if let Some(death) = death {
                    write!(to, ",\"death\":\"{}\"", death.word())?;
                }
            }
            to.write_all(b"}")
        }
    }
}

/// What stands up to the first tag, with it, and what stands from the second on.
fn between<'a>(text: &'a str, open: &str, close: &str) -> (&'a str, &'a str) {
    let (before, rest) = split_behind(text, open);
    (before, rest.find(close).map_or(rest, |at| &rest[at..]))
}

fn split_behind<'a>(text: &'a str, mark: &str) -> (&'a str, &'a str) {
    let at = text.find(mark).map_or(text.len(), |at| at + mark.len());
    text.split_at(at)
}

/// A name as a title holds it: without tags, references or odd characters.
fn in_title(name: &str) -> String {
    let mut title = String::new();
    for c in name.chars() {
        match c {
            '&' => title.push_str("&amp;"),
            '<' => title.push_str("&lt;"),
            c if c.is_control() => title.push(' '),
            c => title.push(c),
        }
    }
    title
}

#[cfg(test)]
mod tests;
