//! Stories with their endings: each file in `tests/scripts` is a script, `---`, and what it is told
//! to leave under each model. `UPDATE_GOLDENFILES=1` writes the endings anew; the diff is to be
//! read, against the table of truths.

#![expect(clippy::disallowed_methods, reason = "golden files lie in the repository's own tree")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ondisk_sim::model::{
    Append, EXT4, Fill, Len, Names, Needs, POSIX, Raise, RaiseDir, Rename, Replace, STRICT, Tear,
};
use ondisk_sim::ops::script::{Drive, Script};
use ondisk_sim::{Budget, Model};

const MODELS: [Model; 3] = [POSIX, EXT4, STRICT];

/// What stands between a story and its ending.
const LINE: &str = "---\n";

/// A golden file.
struct Story {
    path: PathBuf,
    script: String,
    /// What it is told to end with.
    told: String,
}

/// All of them, by name; read once, since updating writes them.
static STORIES: LazyLock<Vec<Story>> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut stories: Vec<Story> = entries
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let (script, told) = text.split_once(LINE).expect("a line of --- after the script");
            Story { script: script.to_owned(), told: told.to_owned(), path }
        })
        .collect();
    stories.sort_by(|a, b| a.path.cmp(&b.path));
    stories
});

/// The ending that a story has under these models.
fn ending(story: &str, models: &[Model]) -> String {
    let run = Script::parse(story).map(|script| script.run(Drive::Honest));
    match run {
        Err(error) => format!("{error}\n"),
        Ok(Err(error)) => format!("{error}\n"),
        Ok(Ok(run)) => run.tell(models, Budget::default()),
    }
}

#[test]
fn stories_end_as_they_are_told_to() {
    let update = std::env::var_os("UPDATE_GOLDENFILES").is_some();
    let mut wrong = String::new();
    assert!(STORIES.len() >= 40, "only {} stories found", STORIES.len());
    for Story { path, script, told } in STORIES.iter() {
        let found = ending(script, &MODELS);
        if update {
            fs::write(path, format!("{script}{LINE}{found}")).unwrap();
        } else if found != *told {
            wrong += &format!("{}\n{script}--- told\n{told}--- found\n{found}\n", path.display());
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The endings of a story alone, under one model.
fn told(story: &str, model: Model) -> String {
    ending(story, &[Model { name: "model", ..model }])
}

/// Rows with one rule broken. Each must give some story another ending: else the stories do not
/// show what the rule is for.
#[rustfmt::skip]
fn broken_rows() -> Vec<(&'static str, Model, Model)> {
    vec![
        ("posix: names are one chain", POSIX, Model { names: Names::OneChain, ..POSIX }),
        ("posix: a length needs its blocks", POSIX, Model { len: Len::Float(Needs::All), ..POSIX }),
        ("posix: a length needs its last block", POSIX, Model { len: Len::Float(Needs::Last), ..POSIX }),
        ("posix: lengths are a chain with names", POSIX, Model { len: Len::Chain(Needs::Nothing), ..POSIX }),
        ("posix: no junk", POSIX, Model { fill: Fill::Zero, ..POSIX }),
        ("posix: nothing is torn", POSIX, Model { tear: Tear::Never, ..POSIX }),
        ("posix: sync raises all", POSIX, Model { sync: Raise::AllBefore, ..POSIX }),
        ("posix: datasync raises all", POSIX, Model { datasync: Raise::AllBefore, ..POSIX }),
        ("posix: sync_dir raises all", POSIX, Model { sync_dir: RaiseDir::AllBefore, ..POSIX }),
        ("posix: a rename is one effect", POSIX, Model { rename: Rename::One, ..POSIX }),
        ("posix: a rename needs the length", POSIX, Model { replace: Replace::LenFirst, ..POSIX }),
        ("ext4: names know nothing of each other", EXT4, Model { names: Names::PerName, ..EXT4 }),
        ("ext4: all is one chain", EXT4, Model { names: Names::Everything, ..EXT4 }),
        ("ext4: a length needs its blocks", EXT4, Model { len: Len::Float(Needs::All), ..EXT4 }),
        ("ext4: a length needs its last block", EXT4, Model { len: Len::Float(Needs::Last), ..EXT4 }),
        ("ext4: lengths are in the chain", EXT4, Model { len: Len::Chain(Needs::Nothing), ..EXT4 }),
        ("ext4: a short append is no name", EXT4, Model { append: Append::AsLen, ..EXT4 }),
        ("ext4: junk", EXT4, Model { fill: Fill::ZeroOrJunk, ..EXT4 }),
        ("ext4: nothing is torn", EXT4, Model { tear: Tear::Never, ..EXT4 }),
        ("ext4: sync raises no name", EXT4, Model { sync: Raise::Nothing, ..EXT4 }),
        ("ext4: sync raises as datasync", EXT4, Model { sync: Raise::ToCreationOrLen, ..EXT4 }),
        ("ext4: sync raises all", EXT4, Model { sync: Raise::AllBefore, ..EXT4 }),
        ("ext4: datasync raises no name", EXT4, Model { datasync: Raise::Nothing, ..EXT4 }),
        ("ext4: datasync raises as sync", EXT4, Model { datasync: Raise::ToLastNameOrLen, ..EXT4 }),
        ("ext4: sync_dir raises its names", EXT4, Model { sync_dir: RaiseDir::NamesIn, ..EXT4 }),
        ("ext4: sync_dir raises all", EXT4, Model { sync_dir: RaiseDir::AllBefore, ..EXT4 }),
        ("ext4: a rename is two effects", EXT4, Model { rename: Rename::TwoAcrossDirs, ..EXT4 }),
        ("ext4: a rename needs nothing", EXT4, Model { replace: Replace::Nothing, ..EXT4 }),
        ("ext4: a rename needs the data", EXT4, Model { replace: Replace::DataFirst, ..EXT4 }),
        ("strict: data float", STRICT, Model { names: Names::OneChain, ..STRICT }),
        ("strict: names know nothing of each other", STRICT, Model { names: Names::PerName, ..STRICT }),
        ("strict: blocks are torn", STRICT, Model { tear: Tear::Sector, ..STRICT }),
        ("strict: sync raises its file", STRICT, Model { sync: Raise::ToLastNameOrLen, ..STRICT }),
        ("strict: datasync raises its file", STRICT, Model { datasync: Raise::ToCreationOrLen, ..STRICT }),
        ("strict: sync_dir raises its names", STRICT, Model { sync_dir: RaiseDir::NamesIn, ..STRICT }),
        ("strict: a rename is two effects", STRICT, Model { rename: Rename::TwoAcrossDirs, ..STRICT }),
    ]
}

#[test]
fn a_broken_rule_gives_a_story_another_ending() {
    let mut missed = Vec::new();
    for (rule, row, broken) in broken_rows() {
        let differs = |story: &Story| told(&story.script, row) != told(&story.script, broken);
        if !STORIES.iter().any(differs) {
            missed.push(rule);
        }
    }
    assert!(missed.is_empty(), "no story tells these apart: {missed:#?}");
}

/// Truth 10: a drive that lies keeps what it was told to sync when the kernel dies, and loses it
/// as if it had never been synced when the power goes.
#[test]
fn a_drive_that_lies_keeps_nothing_over_a_cut() {
    let synced = "open f create; write f \"A\"; flush f; fsync f; fsyncdir .; ";
    let unsynced = "open f create; write f \"A\"; flush f; ";
    for model in MODELS {
        let told = |script: &str, drive| {
            let run = Script::parse(script).unwrap().run(drive).unwrap();
            run.tell(&[model], Budget::default())
        };
        let kept = told(&format!("{synced} cut"), Drive::Honest);
        let never = told(&format!("{unsynced} cut"), Drive::Honest);
        assert_ne!(kept, never);
        assert_eq!(told(&format!("{synced} crash"), Drive::Lies), kept);
        assert_eq!(told(&format!("{synced} cut"), Drive::Lies), never);
    }
}
