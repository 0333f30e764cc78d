//! The judge of a recovered store.

use super::*;

#[test]
fn a_life_ends_with_all_its_commits() {
    for mode in [SyncMode::Sync, SyncMode::None] {
        let (life, disk) = (Life::new(5, mode, EngineKind::Btree), MemFs::new());
        life.live(&disk.share(), &disk).unwrap();
        let (_db, books) = life.open(&disk.share()).unwrap();
        assert_eq!(life.judge(&content(&books).unwrap()), Found::Commits(COMMITS));
        assert_eq!(disk.history().acks.len() as u64, COMMITS);
    }
}

#[test]
fn only_whole_prefixes_are_commits() {
    let life = Life::new(5, SyncMode::Sync, EngineKind::Lsm);
    for (number, content) in life.contents.iter().enumerate() {
        assert_eq!(life.judge(content), Found::Commits(number as u64));
        let mut torn = content.clone();
        torn.insert(LAST.to_vec(), (number + 1).to_string().into_bytes());
        if life.contents.get(number + 1) != Some(&torn) {
            assert_eq!(life.judge(&torn), Found::Broken, "commit {} half there", number + 1);
        }
    }
    let mut foreign = life.contents[3].clone();
    foreign.insert(b"nobody".to_vec(), b"wrote this".to_vec());
    assert_eq!(life.judge(&foreign), Found::Broken);
}
