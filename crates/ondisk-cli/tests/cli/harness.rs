//! Runs the binary and keeps what it said; makes stores; looks at directories.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The binary under test.
pub(crate) const ONDISK: &str = env!("CARGO_BIN_EXE_ondisk");

/// What one run of the binary said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Panics unless the exit code is this one and standard error holds each text.
    #[track_caller]
    pub(crate) fn expect(self, code: i32, texts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for text in texts {
            assert!(self.err.contains(text), "`{text}` is not said: {self:#?}");
        }
        self
    }

    /// What was printed, by a run that must have gone well.
    #[track_caller]
    pub(crate) fn fine(self) -> String {
        self.expect(0, &[]).out
    }

    /// The one JSON value that was printed.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The binary with arguments, not yet run.
pub(crate) fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(ONDISK);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary to its end.
pub(crate) fn ondisk<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Said {
    command(args).output().unwrap().into()
}

/// Runs the binary with this standard input.
pub(crate) fn ondisk_reading<A: AsRef<OsStr>>(
    args: impl IntoIterator<Item = A>,
    input: &[u8],
) -> Said {
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A child that refuses its input early closes the pipe: that is its right.
        scope.spawn(move || stdin.write_all(input).unwrap_or_default());
        child.wait_with_output().unwrap().into()
    })
}

/// A directory for one test, and the path of a store in it that does not exist yet.
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn db(&self) -> String {
        self.dir.path().join("books.db").into_os_string().into_string().unwrap()
    }

    /// A store that holds `a = 1`, `b = 2`, `c = 3`, closed.
    pub(crate) fn with_store() -> (Self, String) {
        let scratch = Self::new();
        let db = scratch.db();
        ondisk_reading(["load", &db], b"a\t1\nb\t2\nc\t3\n").fine();
        (scratch, db)
    }
}

/// All files below a directory with their bytes.
pub(crate) fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.insert(path.clone(), std::fs::read(path).unwrap());
            }
        }
    }
    found
}

/// A small generator for tests (`SplitMix64`): the same seed gives the same numbers everywhere.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// What a page opens with.
#[track_caller]
pub(crate) fn played(page: &str) -> serde_json::Value {
    let open = "<script type=\"application/json\" id=\"ondisk-data\">";
    let (_, rest) = page.split_once(open).expect("data in the page");
    serde_json::from_str(rest.split("</script>").next().unwrap()).unwrap()
}
