//! The verb `install-service`: this program as a service of the machine, under systemd.

mod pieces;
pub mod settings;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use rustix::fs::Mode;

use super::table;
use crate::config::{Config, Sources};
use pieces::{Kind, Piece, Standing};

const PROGRAM: &str = "usr/local/bin/tallybox";
const SERVICE: &str = "etc/systemd/system/tallybox.service";
const SOCKET: &str = "etc/systemd/system/tallybox.socket";
const SETTINGS: &str = "etc/tallybox.toml";
/// Units that a package of the distribution brings, which would lie below ours.
const PACKAGED: [&str; 2] = ["usr/lib/systemd/system/tallybox.service", "lib/systemd/system/tallybox.service"];
/// The line of the socket's unit that says where it listens.
const LISTEN: &str = "ListenStream=127.0.0.1:3000";

/// What to do, and where.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Stop the service and remove the program and its units; settings and data stay.
    #[arg(long)]
    uninstall: bool,
    /// Write below this directory, as for an image, and start nothing.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// Installs, or takes away what was installed. Settings that are given as flags go into the new settings file.
pub fn run(args: &Args, sources: Sources) -> anyhow::Result<()> {
    if sources.file.is_some() {
        bail!("the service reads /etc/tallybox.toml: leave --config out");
    }
    let root = args.root.clone().unwrap_or_else(|| PathBuf::from("/"));
    if !root.is_dir() {
        bail!("{} is no directory", root.display());
    }
    if args.root.is_none() && !args.dry_run {
        check_machine()?;
    }
    // What is written is for all to read, unlike everything else that the program makes.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let job = Job { root, live: args.root.is_none(), dry: args.dry_run };
    if args.uninstall { job.uninstall() } else { job.install(sources) }
}

fn check_machine() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("only root can do this: run it with sudo, or look first with --dry-run");
    }
    if !sd_notify::booted().unwrap_or(false) {
        bail!("this machine does not run under systemd; --root DIR writes the files for one that does");
    }
    Ok(())
}

struct Job {
    root: PathBuf,
    /// Whether the machine itself is meant.
    live: bool,
    dry: bool,
}

impl Job {
    fn install(&self, sources: Sources) -> anyhow::Result<()> {
        if let Some(packaged) = PACKAGED.iter().map(|path| self.root.join(path)).find(|path| path.exists()) {
            bail!("{} is there: a package has installed Tallybox, and keeps it up to date", packaged.display());
        }
        let settings = self.root.join(SETTINGS);
        if settings.exists() && !sources.flags.is_empty() {
            bail!("{} is there: change settings in it, and leave the flags out", settings.display());
        }
        let flags = sources.flags.clone();
        let address = self.address(sources)?;
        let program = std::env::current_exe().context("this program cannot find itself")?;
        let program = fs::read(&program).with_context(|| format!("{} cannot be read", program.display()))?;
        let socket = include_str!("../../../packaging/tallybox.socket");
        let socket = socket.replace(LISTEN, &format!("ListenStream={address}"));
        let pieces = [
            Piece::new(&self.root, PROGRAM, Kind::Program, program),
            Piece::new(&self.root, SERVICE, Kind::Unit, include_str!("../../../packaging/tallybox.service").into()),
            Piece::new(&self.root, SOCKET, Kind::Unit, socket.into()),
            Piece::new(&self.root, SETTINGS, Kind::Settings, settings::file(&flags).into()),
        ];
        let standings = self.look(&pieces)?;
        let mut told = Vec::new();
        for (piece, standing) in pieces.iter().zip(&standings) {
            if !self.dry {
                piece.put(*standing)?;
            }
            told.push([piece.path.display().to_string(), self.done(standing.told()).to_owned()]);
        }
        let changed = Changes {
            units: [standings[1], standings[2]].iter().any(|standing| standing.is_to_be_written()),
            socket: standings[2].is_to_be_written(),
            any: standings.iter().any(|standing| standing.is_to_be_written()),
        };
        self.command(&starting(self.live, changed), &mut told)?;
        self.tell(told, &next_steps(address))
    }

    fn uninstall(&self) -> anyhow::Result<()> {
        let kinds = [(PROGRAM, Kind::Program), (SERVICE, Kind::Unit), (SOCKET, Kind::Unit)];
        let pieces = kinds.map(|(path, kind)| Piece::new(&self.root, path, kind, Vec::new()));
        let standings = self.look(&pieces)?;
        let mut told = Vec::new();
        if standings[1] != Standing::Absent {
            let stop: &[&[&str]] = if self.live {
                &[&["disable", "--now", "tallybox.service", "tallybox.socket"]]
            } else {
                &[&["disable", "tallybox.service", "tallybox.socket"]]
            };
            self.command(stop, &mut told)?;
        }
        for (piece, standing) in pieces.iter().zip(&standings) {
            let there = *standing != Standing::Absent;
            if there && !self.dry {
                fs::remove_file(&piece.path).with_context(|| format!("{} cannot be removed", piece.path.display()))?;
            }
            let word = if there { self.done("removed") } else { "was not there" };
            told.push([piece.path.display().to_string(), word.to_owned()]);
        }
        if self.live {
            self.command(&[&["daemon-reload"]], &mut told)?;
        }
        self.tell(
            told,
            "\nSettings (/etc/tallybox.toml) and data (/var/lib/tallybox, /var/lib/private/tallybox) stay.\n",
        )
    }

    /// Where the socket is to listen: as the settings file says, or the flags that go into it.
    fn address(&self, sources: Sources) -> anyhow::Result<SocketAddr> {
        let file = Some(self.root.join(SETTINGS)).filter(|path| path.exists());
        let variables = Vec::new(); // the service does not see those of this shell
        let address = Config::address(&Sources { file, variables, ..sources })?;
        if address.port() == 0 {
            bail!("port 0 means a free one, and a service needs one that stays: set port");
        }
        Ok(address)
    }

    /// How the pieces stand; an error, before anything is changed, where one is not ours to replace.
    fn look(&self, pieces: &[Piece]) -> anyhow::Result<Vec<Standing>> {
        let standings: Vec<_> = pieces.iter().map(Piece::standing).collect();
        let faults: Vec<_> = standings.iter().filter_map(|standing| standing.as_ref().err()).cloned().collect();
        if !faults.is_empty() {
            bail!("nothing was changed:\n  - {}", faults.join("\n  - "));
        }
        Ok(standings.into_iter().flatten().collect())
    }

    /// Runs systemctl, once for each line of arguments.
    fn command(&self, lines: &[&[&str]], told: &mut Vec<[String; 2]>) -> anyhow::Result<()> {
        for line in lines {
            let mut command = Command::new("systemctl");
            if !self.live {
                command.arg("--root").arg(fs::canonicalize(&self.root)?);
            }
            let text = format!("systemctl {}", line.join(" "));
            if !self.dry {
                let output =
                    command.args(*line).output().with_context(|| format!("{text}: systemctl cannot be run"))?;
                if !output.status.success() {
                    let said = String::from_utf8_lossy(&output.stderr);
                    bail!("{text}: {}\njournalctl -u tallybox may tell more", said.trim());
                }
            }
            told.push([text, self.done("done").to_owned()]);
        }
        Ok(())
    }

    fn done(&self, word: &'static str) -> &'static str {
        match (self.dry, word) {
            (false, _) | (true, "unchanged") => word,
            (true, "done") => "would be done",
            (true, "removed") => "would be removed",
            (true, "replaced") => "would be replaced",
            (true, _) => "would be written",
        }
    }

    fn tell(&self, told: Vec<[String; 2]>, next: &str) -> anyhow::Result<()> {
        let next = if self.dry { "\nNothing was changed.\n" } else { next };
        table::print(&format!("{}{next}", table::columns(["WHAT", "DONE"], told)))
    }
}

/// What an installation has changed.
#[derive(Clone, Copy)]
struct Changes {
    units: bool,
    socket: bool,
    any: bool,
}

/// What systemctl is asked for, so that what was written holds.
fn starting(live: bool, changed: Changes) -> Vec<&'static [&'static str]> {
    let mut lines: Vec<&'static [&'static str]> = Vec::new();
    if live && changed.units {
        lines.push(&["daemon-reload"]);
    }
    lines.push(&["enable", "tallybox.socket", "tallybox.service"]);
    if live && changed.socket {
        // A service from before may hold the address itself.
        lines.push(&["stop", "tallybox.service", "tallybox.socket"]);
    }
    if live {
        lines.push(if changed.any { &["restart", "tallybox.service"] } else { &["start", "tallybox.service"] });
    }
    lines
}

fn next_steps(address: SocketAddr) -> String {
    format!(
        "\nThe box listens on {address}. What next:\n  \
         journalctl -u tallybox           shows the link with which you make your account\n  \
         /etc/tallybox.toml               has the settings; behind a proxy set public_url and trusted_proxies\n  \
         systemctl restart tallybox       after a change there; of host or port, run this verb again\n  \
         systemctl status tallybox        tells how it is\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_socket_stops_what_holds_its_address() {
        let all = Changes { units: true, socket: true, any: true };
        let text =
            |live, changed| starting(live, changed).iter().map(|line| line.join(" ")).collect::<Vec<_>>().join("; ");
        let enable = "enable tallybox.socket tallybox.service";
        let units = "tallybox.service tallybox.socket";
        assert_eq!(text(true, all), format!("daemon-reload; {enable}; stop {units}; restart tallybox.service"));
        let program = Changes { units: false, socket: false, any: true };
        assert_eq!(text(true, program), format!("{enable}; restart tallybox.service"));
        let nothing = Changes { any: false, ..program };
        assert_eq!(text(true, nothing), format!("{enable}; start tallybox.service"));
        assert_eq!(text(false, all), enable);
    }

    #[test]
    fn the_units_have_the_line_that_is_replaced() {
        assert!(include_str!("../../../packaging/tallybox.socket").contains(LISTEN));
        let service = include_str!("../../../packaging/tallybox.service");
        assert!(service.contains(&format!("ExecStart=/{PROGRAM} serve")));
        assert!(
            std::path::Path::new(SOCKET).file_name().is_some_and(|name| service.contains(name.to_str().unwrap_or("?")))
        );
    }
}
