//! What a PostgreSQL URL says: hosts, credentials, limits of time, and how far TLS is insisted on.

use std::borrow::Cow;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, SslNegotiation, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::{self, Roots, Verify};
use crate::config::PostgresUrl;

/// What a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It must take writes.
    Primary,
    /// It is only read from.
    Replica,
}

/// A server, or several of which one is taken.
pub(super) struct Target {
    /// In the order of the URL; never empty.
    pub(super) hosts: Vec<Place>,
    /// In which order they are tried.
    pub(super) order: LoadBalanceHosts,
    /// Makes TLS connections, as far as [`Place::config`] asks for them.
    pub(super) tls: MakeRustlsConnect,
    /// Whether a host with which TLS fails is tried without.
    pub(super) fallback: Fallback,
}

/// One host.
pub(super) struct Place {
    /// For messages.
    pub(super) name: String,
    /// How it is connected to: this host and no other.
    pub(super) config: Config,
    /// The name that has to be looked up first, and the port.
    pub(super) lookup: Option<(String, u16)>,
}

/// What is done where TLS fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fallback {
    /// The connection fails.
    None,
    /// It is made without TLS: `sslmode=prefer`.
    Plain,
}

/// The parameters that are read here instead of by the driver, which knows fewer values or takes them otherwise.
const OWN: [&str; 4] = ["sslmode", "sslrootcert", "tcp_user_timeout", "keepalives_count"];

impl Target {
    /// Reads a URL and the certificates that it names. The error completes the sentence "database_url ..." and holds
    /// no password.
    ///
    /// Parameters are those of the driver, with the values that libpq documents (PostgreSQL 17, 32.1.2): `sslmode`
    /// and `sslrootcert` whole, `tcp_user_timeout` in milliseconds, `keepalives_count` for the driver's
    /// `keepalives_retries`. Where libpq falls back to the account that runs the program, a user must be named.
    pub(super) fn parse(url: &SecretString, password: Option<&SecretString>, role: Role) -> Result<Self, String> {
        let url = PostgresUrl::split(url.expose_secret())?;
        let mut config = driver_config(&url)?;
        let keep_own = role == Role::Replica && url.has_password();
        if let Some(password) = password.filter(|_| !keep_own) {
            config.password(password.expose_secret());
        }
        set_limits(&mut config, &url, role)?;
        let (mode, fallback, verify) = encryption(&url)?;
        config.ssl_mode(mode);
        if config.get_ssl_negotiation() == SslNegotiation::Direct && mode != SslMode::Require {
            return Err("has sslnegotiation=direct, which needs sslmode=require or stricter".to_owned());
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err("names no user: write postgres://USER@HOST/DATABASE".to_owned());
        }
        let tls = tls::connector(&verify)?;
        Ok(Self { hosts: places(&config)?, order: config.get_load_balance_hosts(), tls, fallback })
    }
}

/// The URL without [`OWN`], as the driver reads it.
fn driver_config(url: &PostgresUrl<'_>) -> Result<Config, String> {
    // Behind an unescaped `&` in a password, what looks like a name may be a piece of it.
    let may_quote = !url.parameters.iter().any(|(key, _)| *key == "password");
    if let Some((key, _)) = url.parameters.iter().find(|(key, _)| !PostgresUrl::knows(key)) {
        let name = if may_quote { format!(" {key}") } else { String::new() };
        return Err(format!("has a parameter{name} that is not supported"));
    }
    let credentials = match (url.user, url.password) {
        (Some(user), Some(password)) => format!("{user}:{password}@"),
        (Some(user), None) => format!("{user}@"),
        (None, _) => String::new(),
    };
    let parameters = url.parameters.iter().filter(|(key, _)| !OWN.contains(key));
    // The driver divides lists of hosts before the slash, but not those in a parameter.
    let single = |(key, value): &(&str, &str)| match *key {
        "host" => value.split(',').map(|host| format!("&host={host}")).collect(),
        _ => format!("&{key}={value}"),
    };
    let query: String = parameters.map(single).collect();
    let text = format!("postgres://{credentials}{}?{}", url.place, query.trim_start_matches('&'));
    text.parse().map_err(|error: tokio_postgres::Error| {
        // The driver's causes name options, never their values.
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        format!("cannot be read: {cause}")
    })
}

/// The limits and names that the URL does not give.
fn set_limits(config: &mut Config, url: &PostgresUrl<'_>, role: Role) -> Result<(), String> {
    let silent = |key: &str| !url.parameters.iter().any(|(given, _)| *given == key);
    if silent("connect_timeout") {
        config.connect_timeout(Duration::from_secs(3));
    }
    match number(url, "tcp_user_timeout")? {
        Some(0) => {}
        Some(millis) => _ = config.tcp_user_timeout(Duration::from_millis(millis.into())),
        None => _ = config.tcp_user_timeout(Duration::from_secs(10)),
    }
    if silent("keepalives_idle") {
        config.keepalives_idle(Duration::from_secs(10));
    }
    if silent("keepalives_interval") {
        config.keepalives_interval(Duration::from_secs(5));
    }
    match number(url, "keepalives_count")? {
        Some(count) => _ = config.keepalives_retries(count),
        None if silent("keepalives_retries") => _ = config.keepalives_retries(3),
        None => {}
    }
    if silent("target_session_attrs") && role == Role::Primary {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if silent("application_name") {
        config.application_name("tallybox");
    }
    Ok(())
}

/// What `sslmode` and `sslrootcert` ask for (PostgreSQL 17, 32.19 and table 32.1).
fn encryption(url: &PostgresUrl<'_>) -> Result<(SslMode, Fallback, Verify), String> {
    let roots = value(url, "sslrootcert")?.filter(|text| !text.is_empty()).map(|text| match &*text {
        "system" => Roots::System,
        path => Roots::File(PathBuf::from(path)),
    });
    let mode = value(url, "sslmode")?;
    let mode = match (mode.as_deref(), &roots) {
        (None, Some(Roots::System)) => "verify-full",
        (Some(mode), Some(Roots::System)) if mode != "verify-full" => {
            return Err("has sslrootcert=system, which needs sslmode=verify-full: public authorities sign for \
                        everybody"
                .to_owned());
        }
        (None, _) => "prefer",
        (Some(mode), _) => mode,
    };
    let checked = (SslMode::Require, Fallback::None);
    let ((mode, fallback), verify) = match (mode, roots) {
        ("disable", None) => ((SslMode::Disable, Fallback::None), Verify::Nothing),
        ("allow" | "prefer", None) => ((SslMode::Prefer, Fallback::Plain), Verify::Nothing),
        ("require", None) => (checked, Verify::Nothing),
        ("require" | "verify-ca", Some(roots)) => (checked, Verify::Chain(roots)),
        ("verify-full", Some(roots)) => (checked, Verify::Name(roots)),
        ("disable" | "allow" | "prefer", Some(_)) => {
            return Err("has sslrootcert, which is of use only with sslmode=verify-full, verify-ca or require".into());
        }
        ("verify-ca", None) => return Err("has sslmode=verify-ca, which needs sslrootcert=FILE".into()),
        ("verify-full", None) => {
            return Err("has sslmode=verify-full, which needs sslrootcert=FILE or sslrootcert=system".into());
        }
        _ => {
            return Err(
                "has an sslmode that is none of disable, allow, prefer, require, verify-ca and verify-full".into()
            );
        }
    };
    Ok((mode, fallback, verify))
}

/// One place for each host: the driver's own loop over them stops for good at one that accepts and then says nothing.
fn places(config: &Config) -> Result<Vec<Place>, String> {
    let (addresses, ports) = (config.get_hostaddrs(), config.get_ports());
    let hosts = match config.get_hosts() {
        // Without a name the address is what a certificate must tell, as with libpq.
        [] => addresses.iter().map(|address| Host::Tcp(address.to_string())).collect(),
        named => named.to_vec(),
    };
    if hosts.is_empty() || hosts.contains(&Host::Tcp(String::new())) {
        return Err("names no host: write postgres://USER@HOST/DATABASE".to_owned());
    }
    if !addresses.is_empty() && addresses.len() != hosts.len() {
        return Err(format!("has {} hosts but {} in hostaddr", hosts.len(), addresses.len()));
    }
    if ports.len() > 1 && ports.len() != hosts.len() {
        return Err(format!("has {} ports for {} hosts", ports.len(), hosts.len()));
    }
    let place = |(at, host): (usize, Host)| {
        let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
        let address = addresses.get(at);
        let mut own = without_hosts(config);
        own.port(port);
        if let Some(address) = address {
            own.hostaddr(*address);
        }
        match host {
            Host::Tcp(name) => {
                own.host(&name);
                let lookup = address.is_none().then(|| (name.clone(), port));
                Place { name: format!("{name}:{port}"), config: own, lookup }
            }
            Host::Unix(dir) => {
                // No server speaks TLS on a socket file, and libpq asks none to.
                own.host_path(&dir).ssl_mode(SslMode::Disable);
                Place { name: dir.join(format!(".s.PGSQL.{port}")).display().to_string(), config: own, lookup: None }
            }
        }
    };
    Ok(hosts.into_iter().enumerate().map(place).collect())
}

fn without_hosts(config: &Config) -> Config {
    let mut own = Config::new();
    if let Some(user) = config.get_user() {
        own.user(user);
    }
    if let Some(password) = config.get_password() {
        own.password(password);
    }
    if let Some(database) = config.get_dbname() {
        own.dbname(database);
    }
    if let Some(options) = config.get_options() {
        own.options(options);
    }
    if let Some(name) = config.get_application_name() {
        own.application_name(name);
    }
    if let Some(limit) = config.get_connect_timeout() {
        own.connect_timeout(*limit);
    }
    if let Some(limit) = config.get_tcp_user_timeout() {
        own.tcp_user_timeout(*limit);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        own.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        own.keepalives_retries(retries);
    }
    own.keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts());
    own
}

/// The decoded value of a parameter; of several the last, as with libpq.
fn value<'a>(url: &PostgresUrl<'a>, key: &str) -> Result<Option<Cow<'a, str>>, String> {
    let given = url.parameters.iter().rfind(|(given, _)| *given == key);
    let decoded = given.map(|(_, value)| percent_decode_str(value).decode_utf8()).transpose();
    decoded.map_err(|_| format!("has a {key} that is not valid UTF-8"))
}

fn number(url: &PostgresUrl<'_>, key: &str) -> Result<Option<u32>, String> {
    let parse = |text: Cow<'_, str>| text.parse().map_err(|_| format!("has a {key} that is not a number"));
    value(url, key)?.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn parse(url: &str) -> Result<Target, String> {
        Target::parse(&url.into(), None, Role::Primary)
    }

    /// The configuration of a URL's first host.
    fn config(url: &str) -> Config {
        parse(url).unwrap_or_else(|problem| panic!("{url} {problem}")).hosts.swap_remove(0).config
    }

    #[test]
    fn what_the_url_leaves_out_has_a_default() {
        let silent = config("postgres://ada@db/box");
        let seconds = Duration::from_secs;
        assert_eq!(silent.get_connect_timeout(), Some(&seconds(3)));
        assert_eq!(silent.get_tcp_user_timeout(), Some(&seconds(10)));
        assert!(silent.get_keepalives());
        assert_eq!(silent.get_keepalives_idle(), seconds(10));
        assert_eq!(silent.get_keepalives_interval(), Some(seconds(5)));
        assert_eq!(silent.get_keepalives_retries(), Some(3));
        assert_eq!(silent.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(silent.get_application_name(), Some("tallybox"));
        assert_eq!((silent.get_ssl_mode(), silent.get_dbname()), (SslMode::Prefer, Some("box")));
        let replica = Target::parse(&"postgres://ada@db/box".into(), None, Role::Replica).ok().unwrap();
        assert_eq!(replica.hosts[0].config.get_target_session_attrs(), TargetSessionAttrs::Any);
    }

    #[test]
    fn what_the_url_says_goes_before() {
        let told = config(
            "postgres://ada:pa%20ss@db:6000/box?connect_timeout=0&tcp_user_timeout=1500&keepalives=0&keepalives_idle=7\
             &keepalives_interval=8&keepalives_count=9&target_session_attrs=any&application_name=mine\
             &options=-c%20work_mem=1MB&channel_binding=require",
        );
        assert_eq!((told.get_connect_timeout(), told.get_keepalives()), (None, false));
        assert_eq!(told.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)), "in milliseconds, as for libpq");
        assert_eq!(told.get_keepalives_idle(), Duration::from_secs(7));
        assert_eq!(told.get_keepalives_interval(), Some(Duration::from_secs(8)));
        assert_eq!(told.get_keepalives_retries(), Some(9));
        assert_eq!(told.get_target_session_attrs(), TargetSessionAttrs::Any);
        assert_eq!((told.get_application_name(), told.get_options()), (Some("mine"), Some("-c work_mem=1MB")));
        assert_eq!(told.get_password(), Some(&b"pa ss"[..]));
        assert_eq!(told.get_channel_binding(), tokio_postgres::config::ChannelBinding::Require);
        assert_eq!(config("postgres://ada@db?keepalives_retries=4").get_keepalives_retries(), Some(4));
        assert_eq!(config("postgres://ada@db?tcp_user_timeout=0").get_tcp_user_timeout(), None);
    }

    #[test]
    fn hosts_are_told_apart() {
        let rows: [(&str, &[(&str, bool)]); 8] = [
            ("postgres://ada@db/box", &[("db:5432", true)]),
            ("PostgreSQL://ada@a,b:1,[::1]:2/box", &[("a:5432", true), ("b:1", true), ("::1:2", true)]),
            ("postgres:///box?user=ada&host=a,b&port=7", &[("a:7", true), ("b:7", true)]),
            ("postgres:///box?user=ada&host=a&host=b&port=7,8", &[("a:7", true), ("b:8", true)]),
            ("postgres:///box?user=ada&hostaddr=10.0.0.1", &[("10.0.0.1:5432", false)]),
            ("postgres://ada@a,b/box?hostaddr=10.0.0.1,10.0.0.2", &[("a:5432", false), ("b:5432", false)]),
            ("postgres:///box?user=ada&host=/run/pg", &[("/run/pg/.s.PGSQL.5432", false)]),
            ("postgres://ada@%2Frun%2Fpg:6/box", &[("/run/pg/.s.PGSQL.6", false)]),
        ];
        for (url, expected) in rows {
            let target = parse(url).unwrap_or_else(|problem| panic!("{url} {problem}"));
            let hosts: Vec<_> = target.hosts.iter().map(|p| (p.name.as_str(), p.lookup.is_some())).collect();
            assert_eq!(hosts, expected, "{url}");
            assert!(target.hosts.iter().all(|p| p.config.get_hosts().len() == 1 && p.config.get_ports().len() == 1));
        }
        let addressed = config("postgres://ada@a,b/box?hostaddr=10.0.0.1,10.0.0.2");
        assert_eq!(addressed.get_hostaddrs(), [IpAddr::from(Ipv4Addr::new(10, 0, 0, 1))]);
        let socket = config("postgres:///box?user=ada&host=/run/pg&sslmode=require");
        assert_eq!(socket.get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn each_sslmode_has_its_meaning() {
        let file = || Roots::File("/x.crt".into());
        let none = Fallback::None;
        let rows = [
            ("", Some((SslMode::Prefer, Fallback::Plain, Verify::Nothing))),
            ("sslmode=disable", Some((SslMode::Disable, none, Verify::Nothing))),
            ("sslmode=allow", Some((SslMode::Prefer, Fallback::Plain, Verify::Nothing))),
            ("sslmode=prefer", Some((SslMode::Prefer, Fallback::Plain, Verify::Nothing))),
            ("sslmode=require", Some((SslMode::Require, none, Verify::Nothing))),
            ("sslmode=require&sslrootcert=/x.crt", Some((SslMode::Require, none, Verify::Chain(file())))),
            ("sslmode=verify-ca&sslrootcert=%2Fx.crt", Some((SslMode::Require, none, Verify::Chain(file())))),
            ("sslmode=verify-full&sslrootcert=/x.crt", Some((SslMode::Require, none, Verify::Name(file())))),
            ("sslmode=verify-full&sslrootcert=system", Some((SslMode::Require, none, Verify::Name(Roots::System)))),
            ("sslrootcert=system", Some((SslMode::Require, none, Verify::Name(Roots::System)))),
            ("sslmode=require&sslmode=disable", Some((SslMode::Disable, none, Verify::Nothing))),
            ("sslmode=require&sslrootcert=system", None),
            ("sslmode=verify-ca&sslrootcert=system", None),
            ("sslmode=disable&sslrootcert=system", None),
            ("sslrootcert=/x.crt", None),
            ("sslmode=prefer&sslrootcert=/x.crt", None),
            ("sslmode=verify-ca", None),
            ("sslmode=verify-full", None),
            ("sslmode=verify-full&sslrootcert=", None),
            ("sslmode=Require", None),
            ("sslmode=", None),
        ];
        for (parameters, meaning) in rows {
            let url = format!("postgres://ada@db/box?{parameters}");
            assert_eq!(encryption(&PostgresUrl::split(&url).unwrap()).ok(), meaning, "{parameters}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_password() {
        let rows = [
            ("postgres://ada:canary@db/box?sslmode=verify-full", "needs sslrootcert"),
            ("postgres://ada:canary@db/box?sslmode=canary", "none of disable"),
            ("postgres://ada:canary@db/box?sslmode=require&sslrootcert=/nowhere", "/nowhere, which cannot be read"),
            ("postgres://ada:canary@db/box?sslcert=x", "a parameter sslcert that is not supported"),
            ("postgres://ada@db/box?password=x&canary=y", "a parameter that is not supported"),
            ("postgres://ada:canary@db/box?port=x", "invalid value for option `port`"),
            ("postgres://ada:canary@db/box?port=1", "2 ports for 1 host"),
            ("postgres://ada:canary@a,b/box?hostaddr=10.0.0.1", "2 hosts but 1 in hostaddr"),
            ("postgres://ada:canary@db/box?hostaddr=db", "`hostaddr`"),
            ("postgres://ada:canary@db/box?target_session_attrs=master", "`target_session_attrs`"),
            ("postgres://ada:canary@db/box?tcp_user_timeout=10s", "tcp_user_timeout that is not a number"),
            ("postgres://ada:canary@db/box?keepalives_count=-1", "keepalives_count that is not a number"),
            ("postgres://ada:canary@db/box?sslnegotiation=direct", "needs sslmode=require"),
            ("postgres://ada:canary@db/box?sslmode=%FF", "not valid UTF-8"),
            ("postgres://ada:canary@/box", "names no host"),
            ("postgres://ada:canary@:5432/box", "names no host"),
            ("postgres://db/box?password=canary", "names no user"),
            ("postgres://:canary@db/box", "names no user"),
            ("postgres://ada:can@ary@db/box", "none can stand"),
        ];
        for (url, part) in rows {
            let problem = parse(url).err().unwrap_or_else(|| panic!("{url} is taken"));
            assert!(problem.contains(part), "{url}: {problem}");
            assert!(!problem.contains("canary") && !problem.contains("ary@"), "{problem}");
        }
    }

    #[test]
    fn each_server_gets_the_password_that_is_meant_for_it() {
        let (with, without) = ("postgres://ada:own@db/box", "postgres://ada@db/box");
        let rows = [
            (with, None, Role::Primary, Some("own")),
            (with, Some("set"), Role::Primary, Some("set")),
            (without, Some("set"), Role::Primary, Some("set")),
            (with, Some("set"), Role::Replica, Some("own")),
            (without, Some("set"), Role::Replica, Some("set")),
            (without, None, Role::Replica, None),
        ];
        for (url, password, role, expected) in rows {
            let password = password.map(SecretString::from);
            let target = Target::parse(&url.into(), password.as_ref(), role).ok().unwrap();
            assert_eq!(target.hosts[0].config.get_password(), expected.map(str::as_bytes), "{url} {role:?}");
        }
    }
}
