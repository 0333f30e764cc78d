//! `ondisk play`: the page that plays a run, as a file, in a browser, or served to this machine.
//!
//! Invariant: nothing is put into a page before it was checked: a script is one that runs, and a
//! timeline is one that this version reads.

mod browser;
mod serve;
mod what;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::what::Found;
use crate::exit::{Exit, Failure};
use crate::out::{Out, talk};
use crate::page::{self, Scene};
use crate::sim::config::Config;

/// Watch where the bytes are: a page that plays a script or a timeline.
///
/// One HTML file with the simulation in it, and no network: the six layers, the ladder, the plug.
/// Step through every event, both ways; pull the plug at any; see what survives and what recovery
/// makes of it; change the program and the machine. Prints where the page is. SCRIPT is what
/// `ondisk sim` runs, TIMELINE is what its --timeline writes; they are told apart by what they hold.
///
/// Without --html the page goes to where temporary files are. A browser that is not shown those (a
/// snap, a container) takes --html in a directory of yours, or --serve.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  ondisk play --open
  ondisk play examples/scripts/fsync.ondisk --drive lies --open
  ondisk play examples/scripts/fsync.ondisk --html fsync.html
  ondisk play run.timeline --serve=8000

Exit codes: 0 the page is there; 2 it is no script and no timeline, the page
cannot be written or served, or there is no browser.

Next: ondisk sim examples/scripts/fsync.ondisk --cut all")]
pub(crate) struct Args {
    /// What is played; - for standard input [default: the opening scene]
    #[arg(value_name = "SCRIPT|TIMELINE")]
    what: Option<PathBuf>,
    #[command(flatten)]
    config: Config,
    /// Write the page to this file
    #[arg(long, value_name = "FILE", conflicts_with = "serve")]
    html: Option<PathBuf>,
    /// Open it: in what BROWSER names, else in the default browser
    #[arg(long)]
    open: bool,
    /// Serve the page to this machine alone, until Ctrl-C; without =PORT at any that is free
    #[arg(
        long,
        value_name = "PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0"
    )]
    serve: Option<u16>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is told, as JSON; schema 1.
#[derive(Debug, Serialize)]
struct Told<'a> {
    ondisk: &'static str,
    v: u32,
    plays: &'static str,
    name: Option<&'a str>,
    /// Whether the timeline ends before its end.
    cut_off: bool,
    page: Option<&'a Path>,
    url: Option<&'a str>,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let Found { scene, cut_off } = what::find(args.what.as_deref(), &args.config)?;
    if cut_off {
        let name = scene.name().unwrap_or_default();
        talk(format_args!("ondisk: {name}: the timeline was cut off: it has no last line"));
    }
    match args.serve {
        Some(port) => served(args, &scene, cut_off, port),
        None => written(args, &scene, cut_off),
    }
}

/// The page as a file.
fn written(args: &Args, scene: &Scene, cut_off: bool) -> Result<Exit, Failure> {
    let path = match &args.html {
        Some(path) => {
            page::write(path, &scene.data())?;
            path.clone()
        }
        None => page::write_temporary(&stem(scene), &scene.data())?,
    };
    tell(args, scene, cut_off, Page::File(&path))?;
    if args.open {
        let whole = std::path::absolute(&path).unwrap_or(path);
        browser::open(whole.as_os_str())?;
    }
    Ok(Exit::Fine)
}

/// The page at an address, until the process is ended.
fn served(args: &Args, scene: &Scene, cut_off: bool, port: u16) -> Result<Exit, Failure> {
    let refused = |source| Failure::Serve { port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(refused)?;
    let port = listener.local_addr().map_err(refused)?.port();
    let url = format!("http://127.0.0.1:{port}/");
    tell(args, scene, cut_off, Page::At(&url))?;
    talk(format_args!("ondisk: served to this machine alone, until Ctrl-C"));
    std::thread::scope(|scope| {
        if args.open {
            scope.spawn(|| {
                // The page is there all the same: who opens it is a side matter.
                if let Err(failure) = browser::open(url.as_ref()) {
                    talk(format_args!("ondisk: {}", failure.sentence()));
                }
            });
        }
        Err(Failure::Serve { port, source: serve::serve(&listener, port, &scene.data()) })
    })
}

/// Where a page is.
enum Page<'a> {
    File(&'a Path),
    At(&'a str),
}

fn tell(args: &Args, scene: &Scene, cut_off: bool, at: Page<'_>) -> Result<(), Failure> {
    let mut out = Out::new();
    let (page, url) = match at {
        Page::File(path) => (Some(path), None),
        Page::At(url) => (None, Some(url)),
    };
    if args.json {
        let (plays, name) = (scene.kind(), scene.name());
        out.json(&Told { ondisk: "play", v: 1, plays, name, cut_off, page, url })?;
    } else if let Some(path) = page {
        out.line(format_args!("{}", path.display()))?;
    } else {
        out.line(format_args!("{}", url.unwrap_or_default()))?;
    }
    out.flush()
}

/// What a page is called among temporary files.
fn stem(scene: &Scene) -> String {
    let Some(name) = scene.name() else { return "ondisk-play".to_owned() };
    let name = name.split('.').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    format!("ondisk-play-{}", name.chars().take(60).map(plain).collect::<String>())
}
