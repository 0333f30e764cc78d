//! The page of the truths, made from their cases.

use std::fmt::Write;

use ondisk_sim::Model;

use crate::case::{Case, text_of};
use crate::found;

const HEAD: &str = "\
# What a power cut may leave

*Made from `crates/ondisk-sim/tests/truths` by its tests, which hold every line of it.*

Each table belongs to the script above it (its words: `ondisk-sim`, module `script`). A line is an
outcome; ● stands where a cut at the end of the script may leave it under a model, · where it cannot;
◆ for ● where the layered machine, mounted so, was seen to leave it when it died then or later.
What is no line cannot be under any model. `zeros` are bytes that were never written, `junk` bytes
that somebody else wrote before, `partial` is any other content: short, torn or mixed. Under … not
every state was looked at: there, · means *not seen*.

The models, from the strongest to the weakest: `strict` is what most programmers believe; the rows of
`ext4` are its mount options (`ext4` alone: its defaults); `posix` is the weakest world that is
defended against. `xfs` and `btrfs` are weaker than `strict` and stronger than `posix`, and neither
stronger nor weaker than the rows of ext4.
";

pub(crate) fn page(truths: &[Case], litmus: &[Case]) -> String {
    let mut page = HEAD.to_owned();
    page += "\n## Thirteen truths\n";
    truths.iter().for_each(|case| add(&mut page, case));
    page += "\n## Litmus tests\n";
    litmus.iter().for_each(|case| add(&mut page, case));
    page
}

fn add(page: &mut String, case: &Case) {
    let mut text = || -> std::fmt::Result {
        writeln!(page, "\n### {}\n", case.title)?;
        if !case.remark.is_empty() {
            writeln!(page, "{}\n", case.remark)?;
        }
        if case.lies {
            writeln!(page, "The drive lies: it says that it flushed, and did not.\n")?;
        }
        writeln!(page, "```text\n{}```\n", case.script)?;
        for told in &case.told {
            writeln!(page, "The program was told: {told}\n")?;
        }
        let found = found(case);
        let names = Model::ALL.iter().zip(&found).map(|(model, found)| {
            let more = if found.exhausted { "" } else { " …" };
            format!(" {}{more} |", model.name.replace("ext4:", ""))
        });
        writeln!(page, "| |{}", names.collect::<String>())?;
        writeln!(page, "|---|{}", ":-:|".repeat(Model::ALL.len()))?;
        for (marks, (_, outcome)) in case.seen.iter().zip(&case.rows) {
            let marks = marks.chars().map(|mark| match mark {
                '*' => " ◆ |",
                '+' => " ● |",
                _ => " · |",
            });
            writeln!(page, "| `{}` |{}", text_of(outcome), marks.collect::<String>())?;
        }
        Ok(())
    };
    text().unwrap();
}
