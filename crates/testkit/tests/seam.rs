//! Each file system of ours against the contract of the seam.

use testkit::seam::seam_contract;

#[test]
#[cfg(unix)]
fn the_operating_system_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    seam_contract(&ondisk_fs::OsFs, dir.path());
}

#[test]
fn the_recording_file_system_keeps_the_contract() {
    let fs = ondisk_sim::MemFs::new();
    let root = std::path::Path::new("root");
    ondisk_fs::FileSystem::create_dir(&fs, root).unwrap();
    seam_contract(&fs, root);
}
