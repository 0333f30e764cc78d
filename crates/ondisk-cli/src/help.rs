//! The front page of the help: the commands in their groups, and the next command to type.
//!
//! Invariant: every command stands in exactly one group (a test holds them against each other),
//! and no group names a command that does not exist.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use crate::Cli;

/// What the commands are for, in the order in which a newcomer needs them.
const GROUPS: [(&str, &[&str]); 3] = [
    ("Learn", &["demo", "sim", "play", "probe"]),
    (
        "Store",
        &[
            "put",
            "get",
            "delete",
            "scan",
            "load",
            "durability",
            "check",
            "salvage",
            "stats",
            "keyspaces",
            "compact",
            "backup",
            "restore",
        ],
    ),
    ("Plumbing", &["dump"]),
];

const TEMPLATE: &str = "{name}: {about}\n\n{usage-heading} {usage}{after-help}\n";

const EXIT_CODES: &str = "\
Exit codes: 0 fine; 1 findings, damage or loss; 2 usage or input error;
3 could not judge. Results are on standard output, talk is on standard error.

Next: ondisk demo";

/// The whole command line, as clap knows it, with our front page.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command().disable_help_subcommand(true);
    let page = front_page(&command);
    command.help_template(TEMPLATE).after_help(page)
}

fn front_page(command: &clap::Command) -> String {
    let mut page = String::new();
    for (group, names) in GROUPS {
        writeln!(page, "{group}:").unwrap_or_default();
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            writeln!(page, "  {name:<11}{about}").unwrap_or_default();
        }
        page.push('\n');
    }
    page + "Each has --help, with an example.\n" + EXIT_CODES
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let command = command();
        let known: BTreeSet<&str> =
            command.get_subcommands().map(clap::Command::get_name).collect();
        let listed: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        assert_eq!(listed.len(), known.len(), "a command stands in two groups, or in none");
        assert_eq!(BTreeSet::from_iter(listed), known);
    }

    #[test]
    fn every_command_has_an_example_and_exit_codes() {
        for command in command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            let name = command.get_name();
            assert!(help.contains(&format!("  ondisk {name} ")), "no example:\n{help}");
            assert!(help.contains("Exit codes:"), "no exit codes:\n{help}");
            assert!(help.trim_end().lines().last().is_some_and(|last| last.starts_with("Next: ")));
        }
    }

    #[test]
    fn the_front_page_is_not_wrapped() {
        let page = front_page(&Cli::command());
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    }

    #[test]
    fn clap_finds_no_fault_with_our_arguments() {
        command().debug_assert();
    }
}
