//! The advice on figures that a disk gives, and on such as none should.

use super::*;

/// Writers and what they made a second, each with a p50 of a millisecond.
fn rates(figures: &[(u64, f64)]) -> Vec<Rate> {
    let p50 = Duration::from_millis(1);
    figures.iter().map(|&(count, per_second)| Rate { count, per_second, p50 }).collect()
}

/// Bytes of a write, and its p50 in nanoseconds.
fn costs(figures: &[(u64, u64)]) -> Vec<Cost> {
    let cost = |&(bytes, nanos)| Cost { bytes, p50: Duration::from_nanos(nanos) };
    figures.iter().map(cost).collect()
}

fn knee(figures: &[(u64, f64)]) -> Option<(u64, bool)> {
    let advice = writers(&rates(figures));
    advice.value.map(|value| (value, advice.more_may_be_better))
}

fn best_size(figures: &[(u64, u64)]) -> Option<(u64, bool)> {
    let advice = group_bytes(&costs(figures));
    advice.value.map(|value| (value, advice.more_may_be_better))
}

#[test]
fn the_knee_is_where_no_more_writers_add_a_tenth() {
    let disk = [(1, 100.0), (2, 190.0), (4, 370.0), (8, 640.0), (16, 690.0), (32, 700.0)];
    assert_eq!(knee(&disk), Some((8, false)), "700 is less than a tenth above 640");
    let above = [(1, 100.0), (8, 636.0), (16, 690.0), (32, 700.0)];
    assert_eq!(knee(&above), Some((16, false)), "700 is more than a tenth above 636");
    assert_eq!(knee(&[(1, 100.0), (2, 200.0), (4, 400.0)]), Some((4, true)), "it grows still");
    assert_eq!(knee(&[(1, 100.0), (2, 60.0), (4, 20.0)]), Some((1, false)), "it falls");
}

#[test]
fn noise_moves_no_knee() {
    let dip = [(1, 100.0), (2, 90.0), (4, 400.0), (8, 380.0), (16, 410.0), (32, 390.0)];
    assert_eq!(knee(&dip), Some((4, false)));
    let early = [(1, 395.0), (2, 90.0), (4, 400.0)];
    assert_eq!(knee(&early), Some((1, false)));
    let shuffled = [(32, 700.0), (8, 640.0), (1, 100.0), (16, 690.0)];
    assert_eq!(knee(&shuffled), Some((8, false)), "whatever the order");
}

#[test]
fn odd_rates_have_an_answer_or_none() {
    assert_eq!(knee(&[]), None);
    assert_eq!(knee(&[(1, 0.0), (2, 0.0)]), None);
    assert_eq!(knee(&[(1, f64::NAN), (2, f64::INFINITY), (4, -1.0)]), None);
    assert_eq!(knee(&[(7, 5.0)]), Some((7, true)), "of more than one nothing is known");
    assert_eq!(knee(&[(1, 5.0), (2, 5.0), (4, 5.0)]), Some((1, false)));
    assert_eq!(knee(&[(1, 0.0), (2, 5.0), (4, 5.0)]), Some((2, false)));
    assert_eq!(knee(&[(1, f64::NAN), (2, 5.0), (4, 9.0)]), Some((4, true)));
}

#[test]
fn the_size_is_where_no_longer_group_gains_a_tenth() {
    // A write of 90 µs and 1 ns for each byte: 23, 6.5, 2.4, 1.34, 1.09 ns a byte.
    let line = [4, 16, 64, 256, 1024].map(|kib: u64| (kib << 10, 90_000 + (kib << 10)));
    assert_eq!(best_size(&line), Some((1 << 20, true)));
    let flat = [(4096, 81_920), (16_384, 37_000), (65_536, 131_072), (262_144, 524_288)];
    assert_eq!(best_size(&flat), Some((65_536, false)), "2.26 ns is more than a tenth above 2");
    let near = [(4096, 81_920), (16_384, 35_000), (65_536, 131_072), (262_144, 524_288)];
    assert_eq!(best_size(&near), Some((16_384, false)), "2.14 ns is less");
}

#[test]
fn odd_costs_have_an_answer_or_none() {
    assert_eq!(best_size(&[]), None);
    assert_eq!(best_size(&[(4096, 0), (8192, 0)]), None, "no clock sees nothing");
    assert_eq!(best_size(&[(4096, 0), (8192, 8192)]), Some((8192, true)));
    assert_eq!(best_size(&[(4096, 70)]), Some((4096, true)));
    assert_eq!(best_size(&[(4096, 4096), (8192, 8192)]), Some((4096, false)));
    assert_eq!(best_size(&[(0, 50), (4096, 4096)]), Some((4096, true)), "no byte, no cost of one");
}

#[test]
fn each_case_has_its_sentence() {
    let text = |figures: &[(u64, f64)]| writers(&rates(figures)).text;
    assert_eq!(
        text(&[(1, 100.0), (8, 6_400.4), (16, 7_000.0), (32, 6_900.0)]),
        "8: 6,400 commits/s at a p50 of 1.00 ms; more writers add less than 10 % (the most was \
         7,000 commits/s, by 16 at a p50 of 1.00 ms)"
    );
    assert_eq!(
        text(&[(1, 9.0), (2, 3.0)]),
        "1: 9 commits/s at a p50 of 1.00 ms, the most; more writers add nothing"
    );
    assert_eq!(
        text(&[(1, 9.0), (2, 30.0)]),
        "2: 30 commits/s at a p50 of 1.00 ms, the most; more writers may add still"
    );
    assert_eq!(text(&[]), "no commit was measured");
    let text = |figures: &[(u64, u64)]| group_bytes(&costs(figures)).text;
    assert_eq!(
        text(&[(4096, 81_920), (1 << 20, 2 << 20), (2 << 20, 4_100_000)]),
        "1 MiB: a byte costs 2.00 ns (20.0 ns at 4 KiB); a longer group gains less than 10 % (the \
         least was 1.96 ns at 2 MiB)"
    );
    assert_eq!(
        text(&[(4096, 819_200), (16_384, 16_384)]),
        "16 KiB: a byte costs 1.00 ns (200 ns at 4 KiB), the least; in a longer group it may cost \
         less still"
    );
    assert_eq!(
        text(&[(4096, 4096), (16_384, 32_768)]),
        "4 KiB: a byte costs 1.00 ns, the least; a longer group gains nothing"
    );
    assert_eq!(text(&[]), "no durable write was measured");
}

#[test]
fn a_single_writer_is_told_what_waiting_costs() {
    let text = |figures: &[(u64, f64)]| in_flight(&rates(figures)).text;
    let waits = "a commit costs 1.00 ms at p50, so who waits for each makes 1,000 a second";
    assert_eq!(
        text(&[(1, 1_000.0), (4, 4_000.0), (16, 4_100.0)]),
        format!(
            "{waits}; pipeline 4 with `begin` or `commit_later` to reach 4,000, at a p50 of 1.00 ms"
        )
    );
    assert!(text(&[(1, 1_000.0), (4, 4_000.0)]).ends_with("; more may add still"));
    assert_eq!(text(&[(1, 1_000.0), (4, 900.0)]), format!("{waits}; more in flight add nothing"));
    assert_eq!(in_flight(&rates(&[(4, 9.0)])).value, None, "nobody waited for each");
    assert_eq!(in_flight(&[]).value, None);
}

#[test]
fn a_figure_has_the_digits_that_matter() {
    assert_eq!([0.126, 2.0, 23.24, 1943.2].map(three_digits), ["0.13", "2.00", "23.2", "1943"]);
    assert_eq!([0.0, 0.4, 999.6, f64::NAN].map(whole), ["0", "0", "1,000", "0"]);
    let sizes = [4096, 6144, 5000, 1 << 20, (1 << 20) + 1024].map(size);
    assert_eq!(sizes, ["4 KiB", "6 KiB", "5000 bytes", "1 MiB", "1025 KiB"]);
}
