//! Figures of many repetitions as tables and as JSON.
//!
//! Invariant: what is shown is the median of the repetitions. In a ratio more than 1 is better for
//! us, whichever way the figure itself is better.

use serde_json::{Map, Value, json};

use crate::peers::OURS;
use crate::phases::{Better, METRICS, Metric};

/// The figures of one store: of each repetition those of all metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// The store.
    pub(crate) name: &'static str,
    /// By repetition.
    pub(crate) runs: Vec<Vec<f64>>,
}

impl Figures {
    /// The median of a metric, by its place in [`METRICS`].
    #[must_use]
    pub(crate) fn median(&self, metric: usize) -> f64 {
        let mut values: Vec<f64> = self.runs.iter().map(|run| run[metric]).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => f64::NAN,
            many if many % 2 == 1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        }
    }
}

/// How much better the first figure is; nothing is said of one that is too small to be told.
fn ratio(metric: Metric, ours: f64, theirs: f64) -> String {
    if figure(ours) == figure(0.0) || figure(theirs) == figure(0.0) {
        return "–".to_owned();
    }
    match metric.better {
        Better::More => format!("{}×", figure(ours / theirs)),
        Better::Less => format!("{}×", figure(theirs / ours)),
    }
}

/// A figure with as many digits as tell something.
fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if (0.0005..0.1).contains(&v) => 3,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let whole = text.find('.').unwrap_or(text.len());
    let mut shown = String::new();
    for (at, digit) in text.char_indices() {
        if at > 0 && at < whole && (whole - at) % 3 == 0 {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Each metric with its unit, and one column a store; then, for each store of ours, how it stands
/// to each other.
#[must_use]
pub(crate) fn markdown(all: &[Figures]) -> String {
    let mut head = vec![String::new()];
    head.extend(all.iter().map(|it| it.name.to_owned()));
    let rows = METRICS.iter().enumerate().map(|(at, metric)| {
        let mut row = vec![format!("{} ({})", metric.name, metric.unit)];
        row.extend(all.iter().map(|it| figure(it.median(at))));
        row
    });
    let mut text = table(&head, &rows.collect::<Vec<_>>());
    let (ours, peers): (Vec<&Figures>, Vec<_>) =
        all.iter().partition(|it| it.name.starts_with(OURS));
    for our in ours.into_iter().filter(|_| !peers.is_empty()) {
        let mut head = vec![format!("{} is better by", our.name)];
        head.extend(peers.iter().map(|it| format!("than {}", it.name)));
        let rows = METRICS.iter().enumerate().map(|(at, metric)| {
            let mut row = vec![metric.name.to_owned()];
            let ratio = |it: &&Figures| ratio(*metric, our.median(at), it.median(at));
            row.extend(peers.iter().map(ratio));
            row
        });
        text.push('\n');
        text.push_str(&table(&head, &rows.collect::<Vec<_>>()));
    }
    text
}

/// A table of markdown that reads well as it is.
fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count(), 3]).max().unwrap_or(3)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
            0 => format!("| {cell:<width$} "),
            _ => format!("| {cell:>width$} "),
        });
        cells.collect::<String>() + "|\n"
    };
    let rules = widths.iter().enumerate().map(|(at, width)| match at {
        0 => format!("|-{}-", "-".repeat(*width)),
        _ => format!("|-{}:", "-".repeat(*width)),
    });
    let rule = rules.collect::<String>();
    let mut text = line(head) + &rule + "|\n";
    rows.iter().for_each(|row| text.push_str(&line(row)));
    text
}

/// All figures of all repetitions, with what was run.
#[must_use]
pub(crate) fn json(all: &[Figures], run: Value) -> Value {
    let stores = all.iter().map(|it| {
        let metrics = METRICS.iter().enumerate().scan("", |last, (at, metric)| {
            // The name of a p99 is that of the rate before it.
            let name = match metric.name {
                "its p99" => format!("{last}, p99"),
                name => name.to_owned(),
            };
            *last = metric.name;
            let values: Vec<f64> = it.runs.iter().map(|run| run[at]).collect();
            Some((name, json!({ "unit": metric.unit, "median": it.median(at), "runs": values })))
        });
        (it.name.to_owned(), Value::Object(metrics.collect::<Map<_, _>>()))
    });
    json!({ "run": run, "stores": Value::Object(stores.collect::<Map<_, _>>()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(name: &'static str, values: &[f64]) -> Figures {
        Figures { name, runs: values.iter().map(|value| vec![*value; METRICS.len()]).collect() }
    }

    #[test]
    fn one_repetition_that_went_wrong_moves_no_median() {
        assert_eq!(figures("a", &[3.0, 900.0, 2.0]).median(0).to_bits(), 3.0_f64.to_bits());
        assert_eq!(figures("a", &[3.0, 5.0]).median(0).to_bits(), 4.0_f64.to_bits());
    }

    #[test]
    fn a_ratio_is_better_for_us_when_it_is_greater() {
        let text = markdown(&[figures("ondisk-x", &[2.0]), figures("peer", &[4.0])]);
        let row = |name: &str| text.lines().rfind(|line| line.contains(name)).unwrap().to_owned();
        assert!(row("load").contains("2.00×"), "{text}"); // half the time
        assert!(row("read, hit").contains("0.50×"), "{text}"); // half the rate
    }

    #[test]
    fn what_is_too_small_has_no_ratio() {
        let text = markdown(&[figures("ondisk-x", &[2.0]), figures("peer", &[0.0])]);
        assert!(text.lines().last().unwrap().contains('–'), "{text}");
    }

    #[test]
    fn figures_are_grouped() {
        assert_eq!(figure(1_234_567.8), "1,234,568");
        assert_eq!(figure(0.123), "0.12");
        assert_eq!(figure(123.4), "123");
        assert_eq!(figure(12.34), "12.3");
    }

    #[test]
    fn json_has_every_figure_once() {
        let value = json(&[figures("a", &[1.0, 2.0])], Value::Null);
        assert_eq!(value["stores"]["a"].as_object().unwrap().len(), METRICS.len());
        assert_eq!(value["stores"]["a"]["commit, 4 threads, p99"]["median"], 1.5);
    }
}
