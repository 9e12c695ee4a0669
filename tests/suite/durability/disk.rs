//! Disks that a test may break: an ext4 file system in an image, and a small one in memory.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Asks the kernel to drop a file system as a power cut would: `EXT4_IOC_SHUTDOWN` with `NOLOGFLUSH`.
const CUT: &str = r#"open(F, "<", $ARGV[0]) or die "open: $!\n"; my $how = pack("L", 2);
ioctl(F, 0x8004587d, $how) or die "shutdown: $!\n";"#;

/// A mounted file system of its own; unmounted and deleted when dropped.
pub struct Disk {
    home: TempDir,
    mounted: bool,
}

impl Disk {
    /// An ext4 file system of that size, in an image behind a loop device.
    pub fn ext4(mebibytes: u64) -> Self {
        let mut disk = Self::unmounted();
        let image = disk.home.path().join("image");
        File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        disk.mount();
        disk
    }

    /// A file system in memory that holds no more than that.
    pub fn memory(mebibytes: u64) -> Self {
        let mut disk = Self::unmounted();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tallybox-drill"])
            .arg(disk.path()));
        disk.mounted = true;
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> std::path::PathBuf {
        self.home.path().join("mount")
    }

    /// From now on nothing reaches the disk, and what was not flushed never will. An [`Disk::ext4`] only.
    pub fn cut_power(&self) {
        run(Command::new("perl").args(["-e", CUT]).arg(self.path()));
    }

    /// The power comes back: mounts again what was on the disk. Every process must have left it.
    pub fn restore_power(&mut self) {
        self.unmount();
        self.mount();
    }

    fn unmounted() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("mount")).unwrap();
        Self { home, mounted: false }
    }

    fn mount(&mut self) {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.home.path().join("image")).arg(self.path()));
        self.mounted = true;
    }

    fn unmount(&mut self) {
        run(Command::new("umount").arg(self.path()));
        self.mounted = false;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            // The processes on it may still be ending: let go of it as soon as they have.
            _ = Command::new("umount").arg("-l").arg(self.path()).status();
        }
    }
}

/// Whether this machine lets us mount. Where it does not, the drill is not run: that is a failure in CI, and a notice
/// elsewhere.
pub fn can_mount(drill: &str) -> bool {
    let reason = if !rustix::process::geteuid().is_root() {
        "it must run as root"
    } else if !Path::new("/dev/loop-control").exists() {
        "there is no /dev/loop-control"
    } else {
        return true;
    };
    assert!(std::env::var_os("CI").is_none(), "the {drill} drill cannot run here: {reason}");
    println!("NOT RUN: the {drill} drill cannot run here: {reason}");
    false
}

/// Grows a file until only so much is free.
pub fn fill(junk: &Path, leave: u64) {
    let mut file = OpenOptions::new().create(true).append(true).open(junk).unwrap();
    let block = [0; 16 << 10];
    while free(junk) > leave {
        let size = usize::try_from((free(junk) - leave).min(block.len() as u64)).unwrap();
        if file.write_all(&block[..size]).is_err() {
            break;
        }
    }
}

fn free(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    stat.f_bavail * stat.f_frsize
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; tests/run installs it"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
