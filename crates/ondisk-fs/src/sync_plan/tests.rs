//! The table, for every platform, on whichever this runs.

use super::*;

const PLATFORMS: [Platform; 3] = [Platform::Linux, Platform::MacOs, Platform::Other];

#[test]
fn linux_syncs_data_without_metadata_and_writes_durably_in_one_call() {
    let plan = SyncPlan::of(Platform::Linux);
    assert_eq!(plan.data, [Call::Fdatasync]);
    assert_eq!(plan.all, [Call::Fsync]);
    assert_eq!(plan.dir, [Call::Fsync]);
    assert_eq!(plan.durable_write, [Call::DirectDsyncWrite, Call::DsyncWrite, Call::WriteThenSync]);
}

#[test]
fn macos_asks_for_the_full_sync_everywhere_and_admits_what_fsync_leaves_in_the_drive() {
    let plan = SyncPlan::of(Platform::MacOs);
    for calls in [plan.data, plan.all, plan.dir] {
        assert_eq!(calls, [Call::FullFsync, Call::Fsync]);
        let rungs = calls.iter().map(|call| call.reaches(Platform::MacOs, Medium::Drive));
        assert_eq!(rungs.collect::<Vec<_>>(), [Rung::Durable, Rung::Device]);
    }
    assert_eq!(plan.durable_write, [Call::WriteThenSync]);
}

#[test]
fn only_linux_is_trusted_to_flush_the_drive_in_fsync() {
    assert_eq!(Call::Fsync.reaches(Platform::Linux, Medium::Drive), Rung::Durable);
    assert_eq!(Call::Fsync.reaches(Platform::MacOs, Medium::Drive), Rung::Device);
    assert_eq!(Call::Fsync.reaches(Platform::Other, Medium::Drive), Rung::Device);
}

#[test]
fn fdatasync_and_dsync_are_planned_on_linux_alone() {
    for platform in [Platform::MacOs, Platform::Other] {
        let plan = SyncPlan::of(platform);
        for call in [plan.data, plan.all, plan.dir, plan.durable_write].concat() {
            assert!(
                !matches!(call, Call::Fdatasync | Call::DirectDsyncWrite | Call::DsyncWrite),
                "{platform:?} plans {}",
                call.name()
            );
        }
    }
}

#[test]
fn every_list_ends_with_a_call_that_every_file_system_has() {
    for platform in PLATFORMS {
        let plan = SyncPlan::of(platform);
        for calls in [plan.data, plan.all, plan.dir] {
            assert!(matches!(calls.last(), Some(Call::Fsync | Call::Fdatasync)), "{platform:?}");
        }
        assert_eq!(plan.durable_write.last(), Some(&Call::WriteThenSync), "{platform:?}");
    }
}

#[test]
fn a_preferred_call_never_reaches_less_than_the_one_behind_it() {
    for platform in PLATFORMS {
        let plan = SyncPlan::of(platform);
        for calls in [plan.data, plan.all, plan.dir, plan.durable_write] {
            let rungs = calls.iter().map(|call| call.reaches(platform, Medium::Drive));
            assert!(rungs.is_sorted_by(|before, after| before >= after), "{platform:?} {calls:?}");
        }
    }
}

#[test]
fn nothing_in_memory_is_durable() {
    for platform in PLATFORMS {
        let plan = SyncPlan::of(platform);
        for call in [plan.data, plan.all, plan.dir, plan.durable_write].concat() {
            assert_eq!(call.reaches(platform, Medium::Memory), Rung::Cached);
        }
    }
}
