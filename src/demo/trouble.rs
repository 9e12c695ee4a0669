//! What goes wrong in the app: kinds of errors and crashes, whom they meet and how often.

use super::chance::Chance;

/// One kind of error.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Against the others of its severity.
    weight: u32,
    /// The systems that it meets, by name; empty for all.
    systems: &'static [&'static str],
    pub(super) kind: &'static str,
    /// With `{n}`, `{hex}` and `{file}` for what differs from one time to the next.
    message: &'static str,
}

const fn trouble(weight: u32, systems: &'static [&'static str], kind: &'static str, message: &'static str) -> Trouble {
    Trouble { weight, systems, kind, message }
}

static ERRORS: [Trouble; 12] = [
    trouble(26, &[], "SyncError", "timed out after {n} ms"),
    trouble(14, &[], "SyncError", "the server answered 503, trying again in {n} s"),
    trouble(12, &[], "ConflictError", "note {hex} was changed on another device"),
    trouble(9, &[], "AuthError", "the session expired {n} minutes ago"),
    trouble(8, &[], "ImportError", "no reader for attachment \"{file}\""),
    trouble(6, &[], "ParseError", "expected a value at line {n} column {n}"),
    trouble(3, &[], "SearchIndexError", "segment {hex} is missing, the index is built anew"),
    trouble(
        30,
        &["windows"],
        "IoError",
        "The process cannot access the file '{file}' because it is being used by another process. (os error 32)",
    ),
    trouble(14, &["linux"], "IoError", "Permission denied: '{file}' (os error 13)"),
    trouble(12, &["macos", "iOS"], "KeychainError", "The specified item could not be found in the keychain. (-25300)"),
    trouble(22, &["iOS", "Android"], "TypeError", "undefined is not an object (evaluating 'note.title')"),
    trouble(16, &["Android"], "NetworkError", "Unable to resolve host \"sync.example.org\""),
];

static CRASHES: [Trouble; 5] = [
    trouble(20, &["windows", "macos", "linux"], "panic", "called `Option::unwrap()` on a `None` value"),
    trouble(9, &["windows", "macos", "linux"], "panic", "memory allocation of {n} bytes failed"),
    trouble(10, &["windows"], "EXCEPTION_ACCESS_VIOLATION", "read of address 0x{hex} in render_text"),
    trouble(18, &["iOS", "macos"], "EXC_BAD_ACCESS", "KERN_INVALID_ADDRESS at 0x{hex}"),
    trouble(25, &["Android"], "IllegalStateException", "Fragment NoteList{{hex}} not attached to a context."),
];

/// What the bad release does.
static BAD: Trouble = trouble(1, &[], "panic", "index out of bounds: the len is {n} but the index is {n}");

/// An error that does not end the program.
pub(super) fn error(system: &str, chance: &mut Chance) -> &'static Trouble {
    drawn(&ERRORS, system, chance)
}

/// A crash; in the bad release nearly always the one that it brought.
pub(super) fn crash(system: &str, bad: bool, chance: &mut Chance) -> &'static Trouble {
    if bad && chance.happens(0.93) { &BAD } else { drawn(&CRASHES, system, chance) }
}

fn drawn(of: &'static [Trouble], system: &str, chance: &mut Chance) -> &'static Trouble {
    let meets = |trouble: &Trouble| trouble.systems.is_empty() || trouble.systems.contains(&system);
    chance.weighed(of, |trouble| if meets(trouble) { f64::from(trouble.weight) } else { 0.0 })
}

impl Trouble {
    /// Its message, this time.
    pub(super) fn message(&self, chance: &mut Chance) -> String {
        let mut message = self.message.to_owned();
        for (blank, one) in [
            ("{n}", &(|chance: &mut Chance| chance.between(2, 9_000).to_string()) as &dyn Fn(&mut Chance) -> String),
            ("{hex}", &|chance| format!("{:08x}", chance.next() >> 32)),
            ("{file}", &|chance| format!("notes-{}.db", chance.between(1, 60))),
        ] {
            while message.contains(blank) {
                message = message.replacen(blank, &one(chance), 1);
            }
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::SYSTEMS;
    use super::*;

    #[test]
    fn errors_meet_the_systems_that_they_are_of() {
        let mut chance = Chance::of(&[1]);
        for system in &SYSTEMS {
            for _ in 0..300 {
                let met = [error(system.name, &mut chance), crash(system.name, false, &mut chance)];
                for trouble in met {
                    let fits = trouble.systems.is_empty() || trouble.systems.contains(&system.name);
                    assert!(fits && !trouble.message(&mut chance).contains("{n}"), "{}: {trouble:?}", system.name);
                }
            }
        }
        assert_eq!(crash("linux", true, &mut Chance::of(&[2])).message, BAD.message);
    }
}
