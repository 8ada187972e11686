//! Numbers as documents write them: each holds for what rounds to it.

use crate::platform::quantity::MilliCpu;

/// Units with their factors.
pub type Units = &'static [(&'static str, f64)];

const KIB: f64 = 1024.0;
/// As `Bytes` reads them.
pub const MEMORY: Units = &[
    ("Gi", KIB * KIB * KIB),
    ("Mi", KIB * KIB),
    ("Ki", KIB),
    ("GB", KIB * KIB * KIB),
    ("MB", KIB * KIB),
    ("Ti", KIB * KIB * KIB * KIB),
    ("TB", KIB * KIB * KIB * KIB),
    ("G", KIB * KIB * KIB),
    ("M", KIB * KIB),
];
pub const CPU: Units = &[("m", 1.0), ("cores", 1_000.0), ("", 1_000.0)];
pub const PERCENT: Units = &[("%", 1.0), ("", 1.0)];

/// A number as a document writes it: it holds for what rounds to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stated {
    /// `<` or `>`; else it is the number itself.
    bound: Option<char>,
    pub number: f64,
    decimals: i32,
    pub unit: f64,
    unit_name: &'static str,
}

impl Stated {
    pub fn parse(written: &str, units: Units) -> Option<Self> {
        let written = written.trim().trim_start_matches('~');
        let bound = written.chars().next().filter(|first| "<>".contains(*first));
        let written = written.trim_start_matches(['<', '>', '=', ' ']);
        let end = written
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(written.len());
        let (digits, unit) = written.split_at(end);
        let number: f64 = digits.parse().ok()?;
        let decimals = digits.split_once('.').map_or(0, |(_, after)| after.len());
        let (unit_name, unit) = units
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))
            .copied()?;
        Some(Self {
            bound,
            number,
            decimals: i32::try_from(decimals).unwrap_or(0).min(6),
            unit,
            unit_name,
        })
    }

    /// `actual` in base units: bytes, thousandths of a core, percent.
    pub fn holds(&self, actual: f64) -> bool {
        let actual = actual / self.unit;
        match self.bound {
            Some('<') => actual < self.number,
            Some(_) => actual > self.number,
            None => (round(actual, self.decimals) - self.number).abs() < 1e-9,
        }
    }

    /// In the unit of the statement, finer than it, so that the difference shows.
    pub fn show(&self, actual: f64) -> String {
        let shown = round(actual / self.unit, self.decimals + 1);
        match self.unit_name {
            "m" => MilliCpu(actual.round() as u64).to_string(),
            "cores" => format!("{shown} cores"),
            unit => format!("{shown}{unit}"),
        }
    }
}

fn round(number: f64, decimals: i32) -> f64 {
    let factor = 10_f64.powi(decimals);
    // 1.125 is 1.124999… now and then.
    (number * factor + 1e-9).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_holds_for_what_rounds_to_it() {
        const GIB: f64 = KIB * KIB * KIB;
        for (written, units, actual, holds) in [
            ("5.8Gi", MEMORY, 5.75 * GIB, true),
            ("1.15Gi", MEMORY, 1.125 * GIB, false),
            ("512MB", MEMORY, 0.5 * GIB, true),
            ("2.75", CPU, 2_750.0, true),
            ("600m", CPU, 600.0, true),
            ("1.45 cores", CPU, 1_450.0, true),
            ("72%", PERCENT, 71.875, true),
            ("45%", PERCENT, 71.875, false),
            ("<50%", PERCENT, 71.875, false),
            ("<80 %", PERCENT, 71.875, true),
        ] {
            let stated = Stated::parse(written, units).expect(written);
            assert_eq!(stated.holds(actual), holds, "{written}");
        }
        assert!(Stated::parse("much", MEMORY).is_none());
    }
}
