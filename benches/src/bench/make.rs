//! A build by make and gcc of the sources of Lua, from the box of the end-to-end tests.
//!
//! A guest has one vCPU, so natively it is done on one core too.

use std::path::Path;
use std::process::Command;

use crate::files::Files;
use crate::group::{Contender, Group, Unit};
use crate::sample::{Failure, duration};

const SCRIPT: &str = "export PATH=/usr/bin; rm -rf /tmp/lua; cp -r /lua /tmp/lua; \
                      cd /tmp/lua/src && make -j2 linux >/tmp/log 2>&1";

pub(crate) fn groups(files: &Files) -> Result<Vec<Group>, Failure> {
    let tree = files.test_box("build");
    let title = "work: make -j2, gcc -O2, Lua";
    let contenders = match files.package(&tree) {
        Ok(package) => {
            let mut both = native(&tree, None);
            let mut one = native(&tree, Some("taskset"));
            let mut guest = files.run(&package, "/bin/sh");
            guest.args(["--memory", "1G", "--", "-c", SCRIPT]);
            vec![
                Contender::new("native", move |_| duration(&mut both)).base(),
                Contender::new("native, on one core", move |_| duration(&mut one)).base(),
                Contender::new("unicell", move |_| duration(&mut guest)),
            ]
        }
        Err(Failure::NotInstalled) => vec![Contender::new("no such box", |_| {
            Err(Failure::NotInstalled)
        })],
        Err(failure) => return Err(failure),
    };
    Ok(vec![
        Group::new(title, Unit::Nanoseconds, contenders).seldom(5),
    ])
}

/// With the box as its root, a `/tmp` in memory and the host's devices.
fn native(tree: &Path, pinned: Option<&str>) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-ec"]);
    let pin = pinned.map_or_else(String::new, |program| format!("{program} 1 "));
    command.arg(format!(
        "cd '{}'; mkdir -p tmp dev; mount -t tmpfs none tmp; mount --rbind /dev dev; \
         exec {pin}chroot . /bin/sh -c '{SCRIPT}'",
        tree.display()
    ));
    command
}
