//! Pages are handed out once, and none is lost.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn pages(run: Run) -> std::ops::Range<u32> {
    run.first..run.end()
}

proptest! {
    /// Edits that take and free pages: each page behind the meta pages is in use or free.
    #[test]
    fn every_page_is_in_use_or_free(
        edits in prop::collection::vec(
            (prop::collection::vec(1_u32..20, 0..12), prop::collection::vec(any::<u16>(), 0..12)),
            1..12,
        ),
        page_size in prop::sample::select(vec![1024_usize, 2048, 4096, 65536]),
        trims in any::<bool>(),
    ) {
        let first = u32::try_from(8192 / page_size).unwrap_or(0).max(2);
        let mut space = Space::new(page_size, first);
        let mut used: Vec<Run> = Vec::new();
        for (takes, frees) in edits {
            let durable: BTreeSet<u32> = used.iter().copied().flat_map(pages).collect();
            for span in takes {
                let run = Run { first: space.take(span).unwrap(), len: span };
                let unit = space.unit;
                // No block of it holds a page that is durable.
                let blocks = run.first / unit * unit..run.end().next_multiple_of(unit);
                prop_assert!(blocks.clone().all(|page| !durable.contains(&page)), "{blocks:?}");
                used.push(run);
            }
            for at in frees {
                if !used.is_empty() {
                    space.free(used.swap_remove(usize::from(at) % used.len()));
                }
            }
            let freed = space.settle();
            freed.into_iter().for_each(|run| space.release(run));
            if trims {
                space.trim();
            }
            let mut all: Vec<u32> =
                used.iter().copied().chain(space.free_runs()).flat_map(pages).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (first..space.end()).collect::<Vec<_>>());
            let free: u64 = space.free_runs().map(|run| u64::from(run.len)).sum();
            prop_assert_eq!(free, space.free_pages());
        }
    }

    /// What stands behind the least end finds places before it, page by page, and no end that is
    /// nearer would do.
    #[test]
    fn what_is_behind_the_least_end_fits_before_it(
        runs in prop::collection::vec((1_u32..9, 1_u32..9, any::<bool>()), 1..30),
        more in 0_u64..5, page_size in prop::sample::select(vec![1024_usize, 4096]),
    ) {
        let mut space = Space::new(page_size, 8);
        let (mut used, mut held, mut free) = (Vec::new(), Vec::new(), Vec::new());
        for (used_len, gone_len, waits) in runs {
            used.push(Run { first: space.take(used_len).unwrap(), len: used_len });
            let gone = Run { first: space.take(gone_len).unwrap(), len: gone_len };
            if waits { held.push(gone) } else { free.push(gone) }
        }
        space.settle();
        free.iter().for_each(|run| space.release(*run));
        let end = space.end();
        let least = space.least_end(held.iter().copied(), more);
        let behind = |limit: u32| {
            used.iter().copied().flat_map(pages).filter(|page| *page >= limit).count() as u64
        };
        if page_size == 4096 && least < end {
            let room = |limit: u32| {
                space.free_runs().flat_map(pages).filter(|page| *page < limit).count() as u64
            };
            prop_assert!(room(least) >= behind(least) + more);
            prop_assert!(room(least - 1) < behind(least - 1) + more);
        }
        if least < end {
            space.set_ceiling(Some(least));
            for _ in 0..behind(least) + more {
                let page = space.take(1).unwrap();
                prop_assert!(page < least && space.has_ceiling(), "{page} {least}");
            }
        }
        // Where there is no room below, the ceiling goes, and pages come from elsewhere.
        space.take(end).unwrap();
        prop_assert!(!space.has_ceiling());
    }

    #[test]
    fn a_list_is_read_as_it_was_written(
        runs in prop::collection::btree_map(2_u32..50, 1_u32..4, 0..12), cut in 0_usize..12,
        zeros in 0_usize..20,
    ) {
        let runs = joined(runs.into_iter().map(|(first, len)| Run { first: first * 4, len }).collect());
        let (free, held) = runs.split_at(cut.min(runs.len()));
        let list = FreeList { free: free.to_vec(), held: held.to_vec() };
        let mut bytes = list.encode();
        bytes.resize(bytes.len() + zeros, 0);
        prop_assert_eq!(FreeList::decode(&bytes, 2..300).unwrap(), list.clone());
        if list.pages() > 0 {
            prop_assert!(FreeList::decode(&bytes, 2..4).is_err());
        }
    }

    #[test]
    fn hostile_lists_are_harmless(bytes in prop::collection::vec(0_u8..4, 0..60)) {
        if let Ok(list) = FreeList::decode(&bytes, 2..300) {
            prop_assert!(list.pages() <= 600);
        }
    }
}
