//! A terminal that a program writes to.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// What a program shows on a terminal of 120 columns, which must end well.
#[track_caller]
pub fn shown(mut command: Command) -> String {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let screen = openpt(flags).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    tcsetwinsize(&screen, Winsize { ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let line = ioctl_tiocgptpeer(&screen, flags).unwrap();
    command.env("TERM", "xterm").stdin(Stdio::null()).stdout(line).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    drop(command); // and with it our own hold of the line
    let mut shown = Vec::new();
    // An error is its end: nobody is on the line any more.
    _ = File::from(screen).read_to_end(&mut shown);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(shown).unwrap()
}
