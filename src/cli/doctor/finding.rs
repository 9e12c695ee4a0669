//! One line of the doctor: what was looked at, how it is, and what to do.

use crate::model::Millis;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should have a look.
    Warning,
    /// It does not work, or what was acknowledged can be lost.
    Problem,
}

impl Level {
    /// As it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }

    /// What the program ends with.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Problem => 2,
        }
    }
}

/// What was found in one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub level: Level,
    /// The same in a sentence.
    pub text: String,
    /// What to type, where something is to be done.
    pub fix: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, text: text.into(), fix: None }
    }

    /// Somebody should have a look.
    pub fn warning(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, level: Level::Warning, text: text.into(), fix: Some(fix.into()) }
    }

    /// It does not work.
    pub fn problem(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, level: Level::Problem, text: text.into(), fix: Some(fix.into()) }
    }
}

/// A length of time in its largest unit.
pub fn length(ms: i64) -> String {
    let units = [(Millis::DAY, "day"), (Millis::HOUR, "hour"), (Millis::MINUTE, "minute"), (Millis::SECOND, "second")];
    let (unit, name) = units.into_iter().find(|(unit, _)| ms.abs() >= *unit).unwrap_or((1, "millisecond"));
    let count = ms.abs() / unit;
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}

/// Bytes in whole MiB, rounded up.
pub fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_sizes_are_told_in_one_unit() {
        for (ms, expected) in
            [(0, "0 milliseconds"), (1_000, "1 second"), (-7_200_000, "2 hours"), (172_800_000, "2 days")]
        {
            assert_eq!(length(ms), expected);
        }
        assert_eq!(mebibytes((1 << 20) + 1), "2 MiB");
    }
}
