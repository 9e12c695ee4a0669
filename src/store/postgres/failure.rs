//! What PostgreSQL's errors mean for the caller: come again, give up, or a defect.

use std::error::Error as _;
use std::io;

use tokio_postgres::Error;

use super::super::StoreError;

/// The store's word for an error of a statement. Its text names the SQLSTATE (PostgreSQL 17, appendix A) and never
/// holds a value: details are left out, and so are the messages of class 22, which quote what could not be read.
pub(super) fn store_error(error: &Error) -> StoreError {
    let text = text(error);
    match error.code() {
        Some(state) => of_state(state.code(), text),
        // The driver refuses with this kind what it cannot put into a message.
        None if io_kind(error) == Some(io::ErrorKind::InvalidInput) => StoreError::Unexpected(text),
        None if error.is_closed() || io_kind(error).is_some() => StoreError::Unavailable(text),
        None => StoreError::Unexpected(text),
    }
}

/// Whether the same transaction may succeed when it is run again: it lost against another one.
pub(super) fn is_retryable(error: &Error) -> bool {
    error.code().is_some_and(|state| matches!(state.code(), "40001" | "40P01" | "23505"))
}

/// Whether the server behind this connection is gone, going, or no primary any more, so that other connections to it
/// are not to be trusted either.
pub(super) fn is_stale_connection(error: &Error) -> bool {
    match error.code() {
        Some(state) => is_stale_state(state.code()),
        None => error.is_closed() || io_kind(error).is_some_and(|kind| kind != io::ErrorKind::InvalidInput),
    }
}

/// Why a connection could not be made, with all causes: at that point no statement's values are in play, and the
/// driver puts the password into none of them.
pub(super) fn connect_text(error: &Error) -> String {
    if error.as_db_error().is_some() {
        return text(error);
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn of_state(state: &str, text: String) -> StoreError {
    match state {
        "53100" => StoreError::Full,
        "57014" => StoreError::Interrupted,
        "XX001" | "XX002" => StoreError::Corrupt(text),
        _ if state.starts_with("58") => StoreError::Io(text),
        _ if is_stale_state(state) || is_away(state) => StoreError::Unavailable(text),
        _ => StoreError::Unexpected(text),
    }
}

fn is_stale_state(state: &str) -> bool {
    state.starts_with("08") || matches!(state, "25006" | "57P01" | "57P02" | "57P03")
}

/// Other states that pass, or that the operator can end: no more room for connections, refused credentials, a missing
/// database, a session that was ended for idling, a lock not had in time, a lost race that was tried again in vain.
fn is_away(state: &str) -> bool {
    matches!(state.get(..2), Some("28" | "40" | "53"))
        || matches!(state, "25P03" | "25P04" | "3D000" | "55P03" | "57P04" | "57P05")
}

fn text(error: &Error) -> String {
    match error.as_db_error() {
        Some(db) if db.code().code().starts_with("22") => {
            format!("a value was refused (SQLSTATE {})", db.code().code())
        }
        Some(db) => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        // Of other causes some quote values.
        None => match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    error.source()?.downcast_ref::<io::Error>().map(io::Error::kind)
}
