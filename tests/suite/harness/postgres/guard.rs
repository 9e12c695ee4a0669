//! Programs that end when the test does, whatever becomes of it: a test that is killed drops nothing.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::poll;

/// Its input ends with the process that holds the other end. Then it ends what `$1/pid` names, and deletes `$1`.
const SCRIPT: &str = r#"
read -r _
if pid=$(cat "$1/pid"); then
  kill -CONT "$pid"; kill -QUIT "$pid"
  for _ in $(seq 100); do kill -0 "$pid" || break; sleep 0.1; done
  kill -KILL "$pid"
fi
rm -rf "$1""#;

/// A folder and the program that works in it. Dropping it ends the program at once and deletes the folder; so does the
/// end of this process.
pub struct Guard {
    folder: PathBuf,
    program: Option<Child>,
    watch: Child,
}

impl Guard {
    /// Guards a folder, with no program in it yet.
    pub fn over(folder: PathBuf) -> Self {
        let watch = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(&folder)
            // Apart from the test's group, which is ended as a whole.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { folder, program: None, watch }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the program, with its output at the end of the file `log`.
    pub fn start(&mut self, command: &mut Command) {
        assert!(self.program.is_none(), "it runs already");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        fs::write(self.folder.join("pid"), child.id().to_string()).unwrap();
        self.program = Some(child);
    }

    /// Everything that the program has said so far, over all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Whether the program was started and has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        let ended = self.program.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
        if ended {
            self.forget();
        }
        !ended
    }

    /// The program and the processes that it has started.
    pub fn processes(&self) -> Vec<Pid> {
        let first = Pid::from_child(self.program.as_ref().expect("it runs"));
        std::iter::once(first).chain(children(first)).collect()
    }

    /// Sends the program itself a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.program.as_ref().expect("it runs")), signal).unwrap();
    }

    /// Sends a signal to the program, which must be stopped, and to the processes that it has started.
    pub fn signal_all(&self, signal: Signal) {
        // One that has ended meanwhile needs none.
        self.processes().into_iter().for_each(|pid| _ = kill_process(pid, signal));
    }

    /// Waits for the end of the program and of `processes`.
    #[track_caller]
    pub fn ended(&mut self, processes: &[Pid]) {
        poll::until(Duration::from_secs(20), "end of the program", || (!self.is_running()).then_some(()));
        poll::until(Duration::from_secs(20), "end of its processes", || {
            processes.iter().all(|pid| state(*pid).is_none_or(|state| state == 'Z')).then_some(())
        });
    }

    fn forget(&mut self) {
        self.program = None;
        _ = fs::remove_file(self.folder.join("pid"));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.program.is_some() {
            self.signal_all(Signal::CONT); // the frozen hear no other
        }
        drop(self.watch.stdin.take());
        if let Some(mut child) = self.program.take() {
            _ = child.wait();
        }
        _ = self.watch.wait();
    }
}

#[test]
fn a_program_ends_with_the_process_that_guards_it() {
    let folder = tempfile::tempdir().unwrap().keep();
    let mut guard = Guard::over(folder.clone());
    guard.start(Command::new("sleep").arg("1000"));
    guard.signal(Signal::STOP);
    // The kernel does the same for a process that was killed.
    drop(guard.watch.stdin.take());
    poll::until(Duration::from_secs(5), "end of the program", || (!guard.is_running()).then_some(()));
    poll::until(Duration::from_secs(5), "removal of its folder", || (!folder.exists()).then_some(()));
}

/// Processes whose parent is `parent`.
fn children(parent: Pid) -> Vec<Pid> {
    let numbers = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pids = numbers.filter_map(Pid::from_raw);
    pids.filter(|pid| stat(*pid).is_some_and(|(_, found)| found == parent.as_raw_nonzero().get())).collect()
}

/// One letter: `Z` for a process that has ended and waits to be noticed. `None` where there is no such process.
fn state(pid: Pid) -> Option<char> {
    stat(pid).map(|(state, _)| state)
}

/// State and parent.
fn stat(pid: Pid) -> Option<(char, i32)> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name before it may hold anything.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}
