//! The Debian package, as far as it can be told without building it: what it is made of is there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{read, root, said};

#[test]
fn everything_that_goes_into_the_package_exists_or_is_made_for_it() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let deb = manifest["package"]["metadata"]["deb"].as_table().unwrap().clone();
    let builder = read("packaging/deb");
    let mut placed = BTreeSet::new();
    for asset in deb["assets"].as_array().unwrap() {
        let [source, target, mode] = asset.as_array().unwrap().as_slice() else { panic!("{asset}") };
        let (source, target) = (source.as_str().unwrap(), target.as_str().unwrap());
        let made = source.starts_with("target/packaging/") && builder.contains(&format!(">{source}\n"));
        assert!(source == "target/release/tallybox" || made || root().join(source).is_file(), "there is no {source}");
        assert!(!target.starts_with('/') && placed.insert(target), "{target}");
        assert_eq!(mode.as_str() == Some("755"), target == "usr/bin/", "{asset}");
    }
    let units = deb["systemd-units"].as_table().unwrap();
    let unit = |kind: &str| {
        format!("{}/{}.{kind}", units["unit-scripts"].as_str().unwrap(), units["unit-name"].as_str().unwrap())
    };
    assert!(read(&unit("service")).contains("ExecStart=") && read(&unit("socket")).contains("ListenStream="));
    // The drop-in starts the program where the package puts it.
    let service = read(&unit("service"));
    let verb = service.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/")).unwrap();
    assert!(read("packaging/debian/10-program.conf").ends_with(&format!("\nExecStart=\nExecStart=/usr/bin/{verb}\n")));
}

#[test]
fn its_scripts_are_scripts() {
    for script in ["deb", "debian/postinst", "debian/prerm", "debian/postrm"] {
        let path = root().join("packaging").join(script);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o111, 0o111, "{script} cannot be run");
        said(Command::new("sh").arg("-n").arg(path));
    }
    for script in ["postinst", "prerm", "postrm"] {
        assert!(read(&format!("packaging/debian/{script}")).contains("\n#DEBHELPER#\n"), "{script}");
    }
}
