//! Sizes, processor shares and percentages, as Kubernetes, Docker and people write them.

use std::{fmt, time::Duration};

/// An amount of memory or storage, in bytes.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// An amount of processor time; 1,000 is one core.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct MilliCpu(pub u64);

/// A share; 100 is all of it. Not negative, and more than 100 only where that can be.
#[derive(
    Debug, Clone, Copy, PartialEq, PartialOrd, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Percent(pub f64);

/// What was written is no quantity, and what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{written}` is not {expected}")]
pub struct NotAQuantity {
    pub written: String,
    pub expected: &'static str,
}

const KIB: u64 = 1024;

impl Bytes {
    pub const EXPECTED: &'static str = "a size like 512Mi, 1.5Gi or 512MB";

    /// `512Mi`, `1.15Gi`, `512MB` (as Docker reads it: MiB), `1G` (Compose: GiB), a number of
    /// bytes.
    pub fn parse(written: &str) -> Result<Self, NotAQuantity> {
        let (number, unit) = split(written, Self::EXPECTED)?;
        let factor = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "ki" | "kib" => KIB,
            "m" | "mb" | "mi" | "mib" => KIB.pow(2),
            "g" | "gb" | "gi" | "gib" => KIB.pow(3),
            "t" | "tb" | "ti" | "tib" => KIB.pow(4),
            _ => return Err(wrong(written, Self::EXPECTED)),
        };
        let bytes = number * factor as f64;
        if bytes > u64::MAX as f64 / 2.0 {
            return Err(wrong(written, Self::EXPECTED));
        }
        Ok(Self(bytes.round() as u64))
    }
}

impl fmt::Display for Bytes {
    /// In the largest unit that needs at most one decimal: `512Mi`, `1.2Gi`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [
            ("Ti", KIB.pow(4)),
            ("Gi", KIB.pow(3)),
            ("Mi", KIB.pow(2)),
            ("Ki", KIB),
        ] {
            if self.0 >= size {
                let amount = self.0 as f64 / size as f64;
                let rounded = (amount * 10.0).round() / 10.0;
                return write!(formatter, "{rounded}{unit}");
            }
        }
        write!(formatter, "{}B", self.0)
    }
}

impl MilliCpu {
    pub const EXPECTED: &'static str = "an amount of CPU like 500m, 0.5 or 2";

    /// `500m`, `0.5`, `16`.
    pub fn parse(written: &str) -> Result<Self, NotAQuantity> {
        let (number, unit) = split(written, Self::EXPECTED)?;
        match unit {
            "m" => Ok(Self(number.round() as u64)),
            "" => Ok(Self((number * 1_000.0).round() as u64)),
            _ => Err(wrong(written, Self::EXPECTED)),
        }
    }
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1_000) {
            write!(formatter, "{}", self.0 / 1_000)
        } else {
            write!(formatter, "{}m", self.0)
        }
    }
}

impl Percent {
    pub const EXPECTED: &'static str = "a percentage like 85%";

    /// `85%`, `99.9 %`, `85`.
    pub fn parse(written: &str) -> Result<Self, NotAQuantity> {
        let (number, unit) = split(written, Self::EXPECTED)?;
        match unit {
            "%" | "" => Ok(Self(number)),
            _ => Err(wrong(written, Self::EXPECTED)),
        }
    }

    /// What share of `whole` a part is.
    pub fn of(part: f64, whole: f64) -> Self {
        Self(if whole > 0.0 {
            part / whole * 100.0
        } else {
            0.0
        })
    }
}

impl fmt::Display for Percent {
    /// One decimal at most.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", (self.0 * 10.0).round() / 10.0)
    }
}

/// What a duration looks like, for messages.
pub const DURATION_EXPECTED: &str = "a duration like 500ms, 30s, 5m, 1h30m or 7d";

/// `500ms`, `30s`, `5m`, `1h30m`, `7d`.
pub fn duration(written: &str) -> Result<Duration, NotAQuantity> {
    let fault = || wrong(written, DURATION_EXPECTED);
    let mut rest = written.trim();
    if rest.is_empty() {
        return Err(fault());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .ok_or_else(fault)?;
        let number: f64 = rest[..digits].parse().map_err(|_| fault())?;
        let unit_end = rest[digits..]
            .find(|character: char| character.is_ascii_digit())
            .map_or(rest.len(), |at| digits + at);
        let seconds = match rest[digits..unit_end].trim() {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            _ => return Err(fault()),
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| fault())?;
        total = total.checked_add(part).ok_or_else(fault)?;
        rest = &rest[unit_end..];
    }
    Ok(total)
}

/// Number and unit, neither of them checked further.
fn split<'a>(written: &'a str, expected: &'static str) -> Result<(f64, &'a str), NotAQuantity> {
    let trimmed = written.trim();
    let end = trimmed
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(trimmed.len());
    let number: f64 = trimmed[..end]
        .parse()
        .map_err(|_| wrong(written, expected))?;
    Ok((number, trimmed[end..].trim()))
}

fn wrong(written: &str, expected: &'static str) -> NotAQuantity {
    NotAQuantity {
        written: written.to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_documents_write_them() {
        for (written, bytes, shown) in [
            ("512Mi", 512 << 20, "512Mi"),
            ("512MB", 512 << 20, "512Mi"),
            ("1Gi", 1 << 30, "1Gi"),
            ("1G", 1 << 30, "1Gi"),
            ("1.5 GiB", 3 << 29, "1.5Gi"),
            ("15GB", 15 << 30, "15Gi"),
            ("0", 0, "0B"),
        ] {
            let size = Bytes::parse(written).expect(written);
            assert_eq!(
                (size.0, size.to_string().as_str()),
                (bytes, shown),
                "{written}"
            );
        }
        for wrong in ["", "Mi", "-1Gi", "1Xi", "1.2.3Gi", "NaN", "1e400Gi"] {
            assert!(Bytes::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn processor_shares_are_thousandths_of_a_core() {
        for (written, thousandths, shown) in [
            ("500m", 500, "500m"),
            ("0.25", 250, "250m"),
            ("16", 16_000, "16"),
            ("1.45", 1_450, "1450m"),
        ] {
            let cpu = MilliCpu::parse(written).expect(written);
            assert_eq!((cpu.0, cpu.to_string().as_str()), (thousandths, shown));
        }
        assert!(MilliCpu::parse("50%").is_err());
    }

    #[test]
    fn durations_have_units() {
        for (written, milliseconds) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("0.5s", 500),
        ] {
            assert_eq!(
                duration(written).expect(written).as_millis(),
                milliseconds,
                "{written}"
            );
        }
        for wrong in [
            "",
            "30",
            "s",
            "1h30",
            "-5s",
            "5 parsecs",
            "99999999999999999999d",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
