//! A PostgreSQL URL taken apart as text: whether it holds a password, and how it may be shown.

use std::fmt;

/// Parameters whose values are never secret. Of all others not even the name is shown: behind an `&` in a password
/// that should have been written `%26` it is a piece of that password.
const OPEN: [&str; 20] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "port",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

const PASSWORD: &str = "password";

const HIDDEN: &str = "(hidden)";

/// `postgres://USER:PASSWORD@HOSTS/DATABASE?KEY=VALUE&...`, its parts as they stand there, percent-encoded.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl<'a> {
    /// Before the `@`, where there is one.
    pub user: Option<&'a str>,
    /// Behind the user.
    pub password: Option<&'a str>,
    /// Hosts with their ports, and behind a slash the database.
    pub place: &'a str,
    /// What follows the question mark, in order.
    pub parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> PostgresUrl<'a> {
    /// Whether a text means to be such a URL.
    pub fn is_meant(text: &str) -> bool {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        matches!(scheme.as_deref(), Some("postgres" | "postgresql"))
    }

    /// Takes a URL apart. The error completes the sentence "database_url ..." and quotes nothing.
    ///
    /// Stricter than libpq where its reading is a guess: a raw `@`, `/` or `?` in a password would move a piece of it
    /// into the host or a parameter, and from there into messages.
    pub fn split(text: &'a str) -> Result<Self, String> {
        let rest = text.split_once("://").filter(|_| Self::is_meant(text)).map(|(_, rest)| rest);
        let rest = rest.ok_or("must begin with postgres:// or postgresql://")?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if tail.contains('@') || authority.matches('@').count() > 1 {
            return Err("has an @, / or ? where none can stand: in a user, a password or a parameter write %40, %2F \
                        and %3F for them"
                .to_owned());
        }
        let (credentials, _) = authority.split_once('@').unzip();
        let (user, password) = match credentials.map(|text| text.split_once(':').unwrap_or((text, ""))) {
            Some((user, "")) => (Some(user), None),
            Some((user, password)) => (Some(user), Some(password)),
            None => (None, None),
        };
        let place = credentials.map_or(rest, |credentials| &rest[credentials.len() + 1..]);
        let (place, query) = place.split_once('?').unwrap_or((place, ""));
        let parameters = query.split('&').filter(|pair| !pair.is_empty()).map(parameter).collect::<Result<_, _>>()?;
        Ok(Self { user, password, place, parameters })
    }

    /// Whether it holds a password, before the host or as a parameter.
    pub fn has_password(&self) -> bool {
        self.password.is_some() || self.parameters.iter().any(|(key, _)| *key == PASSWORD)
    }

    /// Whether a parameter of that name means something to this program.
    pub fn knows(key: &str) -> bool {
        key == PASSWORD || OPEN.contains(&key)
    }
}

/// As it may be shown to people: without its passwords.
impl fmt::Display for PostgresUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        match (self.user, self.password) {
            (Some(user), Some(_)) => write!(f, "{user}:{HIDDEN}@")?,
            (Some(user), None) => write!(f, "{user}@")?,
            (None, _) => {}
        }
        f.write_str(self.place)?;
        for (at, (key, value)) in self.parameters.iter().enumerate() {
            f.write_str(if at == 0 { "?" } else { "&" })?;
            match *key {
                PASSWORD => write!(f, "{key}={HIDDEN}")?,
                key if OPEN.contains(&key) => write!(f, "{key}={value}")?,
                _ => f.write_str(HIDDEN)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PostgresUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parameter(pair: &str) -> Result<(&str, &str), String> {
    let (key, value) = pair.split_once('=').ok_or("has a parameter without a value")?;
    if key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        Ok((key, value))
    } else {
        Err("has a parameter whose name has other characters than a to z and _".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_passwords() {
        let rows = [
            ("postgres://ada:canary@db/box", "postgres://ada:(hidden)@db/box", true),
            ("PostgreSQL://ada:canary@a:1,[::1]:2/box", "postgres://ada:(hidden)@a:1,[::1]:2/box", true),
            ("postgres://ada:cana:ry@db", "postgres://ada:(hidden)@db", true),
            ("postgres://ada@db/box?sslmode=require", "postgres://ada@db/box?sslmode=require", false),
            ("postgres://ada:@db/box", "postgres://ada@db/box", false),
            ("postgres://db", "postgres://db", false),
            (
                "postgres:///box?host=/run/postgresql&user=ada&password=canary",
                "postgres:///box?host=/run/postgresql&user=ada&password=(hidden)",
                true,
            ),
            // An `&` in a password that was not written %26.
            ("postgres://db?password=ca&nary=&port=1", "postgres://db?password=(hidden)&(hidden)&port=1", true),
        ];
        for (text, shown, has_password) in rows {
            let url = PostgresUrl::split(text).unwrap();
            assert_eq!((url.to_string().as_str(), url.has_password()), (shown, has_password));
            assert!(!format!("{url:?}").contains("canary"));
        }
    }

    #[test]
    fn a_url_that_could_be_read_in_two_ways_is_refused_without_quoting_it() {
        let rows = [
            ("postgres://ada:can@ary@db/box", "write %40"),
            ("postgres://ada:can/ary@db/box", "%2F"),
            ("postgres://ada:can?ary=x@db/box", "%3F"),
            ("postgres://db/box?user=ada&password=can@ary", "write %40"),
            ("postgres://db/box?can-ary=1", "other characters"),
            ("postgres://db/box?pass%77ord=canary", "other characters"),
            ("postgres://db/box?password=can&ary", "without a value"),
            ("postgres:ada:canary@db", "must begin with postgres://"),
            ("mysql://ada:canary@db", "must begin with postgres://"),
        ];
        for (text, part) in rows {
            let error = PostgresUrl::split(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("can") || error.contains("none can stand"), "{error}");
            assert!(!error.contains("ary") && !error.contains("ada"), "{error}");
        }
    }
}
