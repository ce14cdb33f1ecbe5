//! What other tools make: Debian's own images, and a service that another implementation wrote.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use unicell_tests::boxes::{Tree, repository, tree};
use unicell_tests::daemon::Node;
use unicell_tests::hosts::too_long_here;
use unicell_tests::run::Run;

/// A file that `tests/debian/minbase/build` has made.
fn made(name: &str) -> PathBuf {
    let path = repository().join("target/boxes").join(name);
    assert!(
        path.exists(),
        "no {name}: run tests/debian/minbase/build as root"
    );
    path
}

/// Packs with these options. Returns the package, and what `pack` tells of it.
fn pack(node: &Node, source: &Path, options: &[&str]) -> (PathBuf, Value) {
    let name = source.file_name().expect("a source has a name");
    let package = node.path().join(name).with_added_extension("cell");
    let arguments: [&OsStr; 5] = [
        "pack".as_ref(),
        "--json".as_ref(),
        source.as_ref(),
        "-o".as_ref(),
        package.as_ref(),
    ];
    let options = options.iter().map(AsRef::as_ref);
    let told = node.run(arguments.into_iter().chain(options));
    let told = serde_json::from_str(&told).expect("it prints JSON");
    (package, told)
}

/// The paths that are warned of in one way.
fn warned<'a>(told: &'a Value, kind: &str) -> Vec<&'a str> {
    let warnings = told["warnings"].as_array().expect("warnings are a list");
    let of_kind = warnings.iter().filter(|warning| warning["kind"] == kind);
    of_kind.filter_map(|one| one["path"].as_str()).collect()
}

/// A script that does what Debian is for: what there is, whether all of it is as it was packed, and
/// one more package, built, installed and removed again.
const DEBIAN: &str = r#"
set -eu
cat /etc/os-release
dpkg -l
dpkg --verify && echo nothing was changed
apt-get --version
apt-cache policy bash
perl -MPOSIX -e 'printf "%s %d\n", (POSIX::uname())[4], scalar keys %INC'
find / -xdev -path /tmp -prune -o -type d -printf '%M %U %G %p\n' -o -printf '%M %n %U %G %p %l\n' |
    grep -v ' /\(dev\|proc\|sys\)$' | sort | sha256sum
mkdir -p /root/one/DEBIAN /root/one/opt
printf 'Package: one\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: none\n' \
    >/root/one/DEBIAN/control
printf '#!/bin/sh\necho configured: "$@"\n' >/root/one/DEBIAN/postinst
chmod 755 /root/one/DEBIAN/postinst
echo content >/root/one/opt/one
cd /root
dpkg-deb --build one
dpkg -i one.deb
dpkg -L one
cat /opt/one
dpkg --purge one
useradd --create-home --shell /bin/bash somebody
id somebody
ls -lan /home | wc -l
"#;

#[test]
fn debian_as_debootstrap_makes_it_runs_as_natively() {
    if too_long_here() {
        return;
    }
    let node = Node::start();
    let manifest = ["--entrypoint", "/bin/bash", "--memory", "512M"];
    let (package, told) = pack(&node, &made("minbase.tar"), &manifest);
    // Set-id files and device nodes are told of, and nothing else is amiss.
    let (set_id, devices) = (warned(&told, "set-id"), warned(&told, "device"));
    for path in ["/usr/bin/su", "/usr/bin/passwd", "/usr/bin/chage"] {
        assert!(set_id.contains(&path), "{path}: {told}");
    }
    assert!(devices.contains(&"/dev/null"), "{told}");
    let all = told["warnings"].as_array().map(Vec::len);
    assert_eq!(all, Some(set_id.len() + devices.len()), "{told}");

    let said = Run::new(&tree("minbase"), "/bin/bash")
        .args(["-c", DEBIAN])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .package(&package)
        .same();
    assert_eq!(said.code, 0, "{said}");
    assert!(said.out().contains("nothing was changed"), "{said}");

    // And as a service of a node.
    node.import_file(&package, "debian");
    let id = told["id"].as_str().expect("it has an id");
    assert_eq!(node.json(&["services"])[0]["id"], id);
    node.run(["start", "debian", "--name", "debian"]);
    let said = node.output("debian");
    assert_eq!(said.out(), "", "bash with nothing to read: {said}");
}

#[test]
fn an_image_by_umoci_and_skopeo_is_the_same_service_in_each_form() {
    if too_long_here() {
        return;
    }
    let node = Node::start();
    let (_, layout) = pack(&node, &made("minbase.layout"), &[]);
    let (package, archive) = pack(&node, &made("minbase.docker"), &[]);
    assert_eq!(layout["id"], archive["id"]);
    // Its configuration says what is run, and from where.
    node.import_file(&package, "greeter");
    node.run(["start", "greeter", "--name", "greeter"]);
    assert_eq!(node.output("greeter").out(), "hello, stranger, in /srv\n");
    // What the second layer removes is gone, and all else as dpkg knows it.
    let verify = Run::new(&Tree::at(&package), "/usr/bin/dpkg")
        .arg("--verify")
        .package(&package)
        .guest();
    let missing = verify.out();
    let removed = |line: &str| {
        line.starts_with("missing")
            && (line.ends_with("/etc/issue") || line.contains("/usr/share/doc/dash"))
    };
    assert!(missing.lines().all(removed), "{verify}");
    assert!(missing.contains("/etc/issue"), "{verify}");
    assert!(missing.contains("/usr/share/doc/dash"), "{verify}");
}

#[test]
fn a_service_of_another_implementation_runs_and_goes_out_as_it_came() {
    let program = std::fs::read(tree("hello").path().join("bin/hello")).expect("it is there");
    let written = Run::new(&tree("protobuf"), "/usr/bin/python3")
        .arg("/test/service.py")
        .input(program)
        .native();
    assert_eq!((written.code, written.err()), (0, String::new()));
    let node = Node::start();
    let (file, back) = (node.path().join("foreign"), node.path().join("back"));
    std::fs::write(&file, &written.stdout).expect("it can be written");

    let id = node.import_file(&file, "foreign");
    assert_eq!(id, blake3::hash(&written.stdout).to_string());
    node.run(["start", "foreign", "--name", "foreign"]);
    assert_eq!(node.output("foreign").out(), "hello from a box\n");

    let export = |encoding: &str, to: &Path| {
        let arguments: [&OsStr; 6] = [
            "export".as_ref(),
            "foreign".as_ref(),
            "--encoding".as_ref(),
            encoding.as_ref(),
            "-o".as_ref(),
            to.as_ref(),
        ];
        node.run(arguments);
    };
    export("proto3", &back);
    let back = std::fs::read(back).expect("it was written");
    assert!(back == written.stdout, "it came back as other bytes");
    // Another node, to which it comes in each of the other encodings, has the same.
    for encoding in ["json", "json+zip"] {
        let other = Node::start();
        let document = other.path().join("document");
        export(encoding, &document);
        let imported = other.run(["import".as_ref(), document.as_os_str()]);
        assert_eq!(imported.trim(), id, "{encoding}");
    }
}
