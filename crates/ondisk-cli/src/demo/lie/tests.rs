//! The act against what is known of real kernels: a kill takes the buffer, only a sync of file
//! and directory holds everywhere, ext4 brings the name with the file.

use super::*;

fn words(outcomes: &[Outcome]) -> String {
    let word = |it: &Outcome| match (it.ext4, it.machine) {
        (true, true) => it.there.word().to_uppercase(),
        (true, false) => it.there.word().to_owned(),
        (false, _) => format!("({})", it.there.word()),
    };
    outcomes.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn only_the_last_program_tells_the_truth() {
    let told: Vec<_> = tell(1)
        .unwrap()
        .iter()
        .map(|lie| [lie.program.to_owned(), words(&lie.kill), words(&lie.crash), words(&lie.cut)])
        .collect();
    // In capitals what the machine left.
    let anything = "GONE EMPTY zeros (junk) WHOLE";
    let expected = [
        ["write", "EMPTY", "GONE EMPTY", "GONE EMPTY"],
        ["+ flush", "WHOLE", anything, anything],
        ["+ close", "WHOLE", anything, anything],
        ["+ fsync", "WHOLE", "(gone) WHOLE", "(gone) WHOLE"],
        ["+ fsync dir", "WHOLE", "WHOLE", "WHOLE"],
        ["  drive lies", "WHOLE", "WHOLE", "GONE empty zeros (junk) WHOLE"],
    ];
    assert_eq!(told, expected);
}
