//! Series made to fit a budget of tokens: first fewer points, then fewer series, never silently.
//!
//! Each series keeps its lowest, highest, mean and last value over all its points, so that a peak
//! which lies between the points that are left is still seen. Labels that all series share stand
//! once.

use serde_json::{Value, json};

use super::prometheus::{Point, Series};
use crate::answer::budget;

/// Points of one series beyond this tell a reader nothing more.
const MOST_POINTS: usize = 60;

/// What is left, and of how much.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Labels with one value in all series.
    pub shared: Vec<(String, String)>,
    pub series: Vec<Kept>,
    /// All series that were found.
    pub total: usize,
    /// Points of the longest series before.
    pub points_of: usize,
    /// Points of the longest series now; each is the mean of those around it.
    pub points: usize,
}

impl Fitted {
    pub fn is_complete(&self) -> bool {
        self.series.len() == self.total
    }
}

/// One series as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Those that are not shared.
    pub labels: Vec<(String, String)>,
    pub points: Vec<Point>,
    /// Of all points; absent where there is none that is a number.
    pub summary: Option<Summary>,
}

/// Of all points that are numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    pub low: f64,
    pub high: f64,
    pub mean: f64,
    pub last: f64,
}

/// The series in their order, made to take about `tokens` at most; one series always stays.
pub fn fit(series: &[Series], tokens: usize) -> Fitted {
    let shared = shared_labels(series);
    let longest = series.iter().map(|one| one.points.len()).max();
    let longest = longest.unwrap_or_default();
    let mut points = longest.min(MOST_POINTS);
    loop {
        let kept: Vec<Kept> = series
            .iter()
            .map(|one| kept(one, &shared, points))
            .collect();
        let mut used = budget_of_labels(&shared);
        let fitting = kept
            .iter()
            .take_while(|one| {
                used += budget::of_value(&one.to_value()) + 2;
                used <= tokens
            })
            .count();
        // Fewer points first; with none, what is left is the summary.
        if fitting < kept.len() && points > 0 && longest > 1 {
            points = if points > 3 { points / 2 } else { 0 };
            continue;
        }
        return Fitted {
            shared,
            total: series.len(),
            points_of: longest,
            points,
            series: kept.into_iter().take(fitting.max(1)).collect(),
        };
    }
}

impl Kept {
    /// `{labels, low, high, mean, last, points: [[time, value], …]}`; a series of one point has its
    /// `value` alone.
    pub fn to_value(&self) -> Value {
        let labels: serde_json::Map<_, _> = self
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        let mut value = json!({ "labels": labels });
        match (&self.summary, self.points.as_slice()) {
            (_, [only]) => value["value"] = number(only.value),
            (summary, points) => {
                if let Some(summary) = summary {
                    for (name, figure) in [
                        ("low", summary.low),
                        ("high", summary.high),
                        ("mean", summary.mean),
                        ("last", summary.last),
                    ] {
                        value[name] = number(figure);
                    }
                }
                if !points.is_empty() {
                    let points = points.iter();
                    value["points"] = points
                        .map(|point| json!([point.at.round() as i64, number(point.value)]))
                        .collect();
                }
            }
        }
        value
    }
}

fn budget_of_labels(labels: &[(String, String)]) -> usize {
    let of = |(name, value): &(String, String)| budget::of_text(name) + budget::of_text(value) + 3;
    labels.iter().map(of).sum()
}

/// Four digits that count; whole numbers whole; what is no number as a word, as JSON has none.
pub fn number(value: f64) -> Value {
    if !value.is_finite() {
        return Value::from(if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        });
    }
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return Value::from(value as i64);
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits.clamp(0, 300));
    Value::from((value * scale).round() / scale)
}

fn shared_labels(series: &[Series]) -> Vec<(String, String)> {
    let [first, rest @ ..] = series else {
        return Vec::new();
    };
    if rest.is_empty() {
        return Vec::new();
    }
    let is_shared = |label: &&(String, String)| rest.iter().all(|one| one.labels.contains(label));
    first.labels.iter().filter(is_shared).cloned().collect()
}

fn kept(series: &Series, shared: &[(String, String)], points: usize) -> Kept {
    let own = series.labels.iter().filter(|label| !shared.contains(label));
    Kept {
        labels: own.cloned().collect(),
        points: thinned(&series.points, points),
        summary: summary_of(&series.points),
    }
}

fn summary_of(points: &[Point]) -> Option<Summary> {
    let numbers = points.iter().map(|point| point.value);
    let numbers: Vec<f64> = numbers.filter(|value| value.is_finite()).collect();
    Some(Summary {
        low: numbers.iter().copied().reduce(f64::min)?,
        high: numbers.iter().copied().reduce(f64::max)?,
        mean: numbers.iter().sum::<f64>() / numbers.len() as f64,
        last: *numbers.last()?,
    })
}

/// At most `most` points, each the mean of an equal share of the points, at the time of the last of
/// them.
fn thinned(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most || points.len() == 1 {
        return points.to_vec();
    }
    if most == 0 {
        return Vec::new();
    }
    let size = points.len().div_ceil(most);
    let shares = points.chunks(size);
    shares
        .filter_map(|share| {
            let last = share.last()?;
            let finite = share.iter().map(|point| point.value);
            let finite: Vec<f64> = finite.filter(|value| value.is_finite()).collect();
            let value = if finite.is_empty() {
                last.value
            } else {
                finite.iter().sum::<f64>() / finite.len() as f64
            };
            Some(Point { at: last.at, value })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, values: impl IntoIterator<Item = f64>) -> Series {
        let labels = [("job", "openpolicy"), ("service", name)];
        let points = values.into_iter().enumerate();
        Series {
            labels: labels
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            points: points
                .map(|(second, value)| Point {
                    at: 1_700_000_000.0 + second as f64,
                    value,
                })
                .collect(),
        }
    }

    #[test]
    fn a_peak_between_the_points_is_still_seen() {
        let mut values = vec![1.0; 10_000];
        values[5_001] = 900.0;
        let fitted = fit(&[series("db", values)], 400);
        let only = &fitted.series[0];
        assert!(only.points.len() > 3 && only.points.len() <= 60);
        assert_eq!(fitted.points_of, 10_000);
        let summary = only.summary.expect("numbers");
        assert_eq!((summary.low, summary.high, summary.last), (1.0, 900.0, 1.0));
        assert_eq!(
            only.points.last().map(|point| point.at),
            Some(1_700_009_999.0)
        );
    }

    #[test]
    fn series_are_cut_last_and_counted_whole() {
        let many: Vec<Series> = (0..500)
            .map(|number| series(&format!("service-{number}"), [0.5; 100]))
            .collect();
        let fitted = fit(&many, 1_000);
        assert_eq!((fitted.total, fitted.points), (500, 0));
        assert!(!fitted.is_complete() && fitted.series.len() > 10);
        assert_eq!(fitted.shared, [("job".to_owned(), "openpolicy".to_owned())]);
        let shown: usize = fitted
            .series
            .iter()
            .map(|one| budget::of_value(&one.to_value()))
            .sum();
        assert!(shown <= 1_000, "{shown}");
        let few = fit(&many[..3], 1_000);
        assert!(few.is_complete() && few.points > 3);
    }

    #[test]
    fn numbers_are_short_and_never_lost() {
        for (value, expected) in [
            (0.123_456, json!(0.1235)),
            (1_234_567.0, json!(1_234_567)),
            (1_234_567.8, json!(1_234_568.0)),
            (0.000_012_345, json!(0.000_012_35)),
            (f64::NAN, json!("NaN")),
            (f64::NEG_INFINITY, json!("-Inf")),
        ] {
            assert_eq!(number(value), expected, "{value}");
        }
        let holes = fit(&[series("db", [f64::NAN, 1.0, f64::NAN])], 400);
        assert_eq!(
            holes.series[0].summary.map(|summary| summary.mean),
            Some(1.0)
        );
    }
}
