//! The browser that shows a page.
//!
//! Invariant: what is shown is one argument, never words for a shell.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Command, Stdio};

use crate::exit::Failure;

/// What opens a page where `BROWSER` names nothing.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Opens a file or an address, and waits for what opens it.
pub(super) fn open(page: &OsStr) -> Result<(), Failure> {
    let program = std::env::var_os("BROWSER").filter(|name| !name.is_empty());
    let program = program.unwrap_or_else(|| OsString::from(OPENER));
    start(&program, page).map_err(|source| Failure::Browser {
        program: program.to_string_lossy().into_owned(),
        page: page.to_string_lossy().into_owned(),
        source,
    })
}

fn start(program: &OsStr, page: &OsStr) -> io::Result<()> {
    let mut command = Command::new(program);
    // What a desktop's openers say to a terminal is a search log; the exit code says it all.
    command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}
