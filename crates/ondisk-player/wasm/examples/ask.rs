//! Asks the module natively: requests are read from files, one each; answers are printed.
//!
//! ```text
//! cargo run -p ondisk-player-wasm --example ask -- 'run fs=ext4' script.ondisk 'die at=40 how=cut'
//! ```
//!
//! An argument that is a file is the script of the request before it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]
#![expect(clippy::disallowed_methods, reason = "a script is read as any text is")]

use std::process::ExitCode;

use ondisk_player_wasm::Desk;

fn main() -> ExitCode {
    let mut desk = Desk::default();
    let mut arguments = std::env::args().skip(1).peekable();
    while let Some(mut request) = arguments.next() {
        if let Some(path) = arguments.next_if(|next| next.ends_with(".ondisk")) {
            match std::fs::read(&path) {
                Ok(script) => {
                    request.push('\n');
                    request.push_str(&String::from_utf8_lossy(&script));
                }
                Err(error) => {
                    eprintln!("{path}: {error}");
                    return ExitCode::from(2);
                }
            }
        }
        println!("{}", desk.ask(request.as_bytes()).lines().next().unwrap_or_default());
    }
    ExitCode::SUCCESS
}
