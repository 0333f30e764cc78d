//! The act against what is known of real kernels: a kill takes the buffer, only a sync of file
//! and directory holds everywhere, ext4 brings the name with the file.

use super::*;

fn words(outcomes: &[Outcome]) -> String {
    let word = |it: &Outcome| match it.ext4 {
        true => it.there.word().to_owned(),
        false => format!("({})", it.there.word()),
    };
    outcomes.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn only_the_last_program_tells_the_truth() {
    let told: Vec<_> = tell()
        .unwrap()
        .iter()
        .map(|lie| [lie.program.to_owned(), words(&lie.kill), words(&lie.crash), words(&lie.cut)])
        .collect();
    let anything = "gone empty zeros (junk) whole";
    let expected = [
        ["write", "empty", "gone empty", "gone empty"],
        ["+ flush", "whole", anything, anything],
        ["+ close", "whole", anything, anything],
        ["+ fsync", "whole", "(gone) whole", "(gone) whole"],
        ["+ fsync dir", "whole", "whole", "whole"],
        ["  drive lies", "whole", "whole", anything],
    ];
    assert_eq!(told, expected);
}
