//! The same seed gives the same bytes: what all runs of `examples/digest.rs` give is known.

use ondisk_sim::machine::Config;
use ondisk_sim::machine::config::Sabotage;
use ondisk_sim::machine::digest::Digest;

#[expect(dead_code, reason = "its `main` is for who runs it by hand")]
#[path = "../examples/digest.rs"]
mod digest;

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let mut lines = String::new();
    let whole = digest::whole(&mut |name, digest| lines += &format!("{digest}  {name}\n"));
    assert_eq!(whole.unwrap(), digest::GOLDEN, "the machine does something else:\n{lines}");
}

#[test]
fn canary_a_machine_that_leaves_out_a_flush_is_noticed() {
    let (_, text, mount) =
        digest::SCRIPTS.into_iter().find(|(name, ..)| *name == "new_file_with_directory").unwrap();
    let script = ondisk_sim::ops::script::Script::parse(text).unwrap();
    let of = |sabotage| {
        let mut digest = Digest::default();
        let config = Config { sabotage, ..digest::configs(mount).next().unwrap() };
        digest::run(&script, config, &mut digest).unwrap();
        digest
    };
    assert_eq!(of(None), of(None));
    assert_ne!(of(None), of(Some(Sabotage::NoFlushBeforeCommit)));
}
