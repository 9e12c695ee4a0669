//! Why events are set aside, in words.

use crate::model::Reason;

/// A reason as a heading.
pub fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::Invalid => "Not a valid event",
        Reason::UnsupportedSchema => "Unknown schema version",
        Reason::TooLarge => "Too large",
        Reason::TooComplex => "Too deep or too many properties",
        Reason::TooOld => "Older than events are kept",
    }
}
