//! Names in a guest: what is a host name, the files that say who is who, and
//! answers to queries.

mod dns;

pub(crate) use dns::{Lookup, MAX_QUERY, answer};
use unicell_gateway_api::address::{Address, GATEWAY, PARENT};
use unicell_gateway_api::run::GuestFile;

/// Most bytes of a label (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;

/// Whether an instance may have this name: one label of a host name, in lower
/// case, and none of those that mean something else.
pub(crate) fn is_instance_name(name: &str) -> bool {
    is_label(name) && ![GATEWAY, PARENT, "localhost"].contains(&name)
}

/// Whether this is one label of a host name (RFC 1123, 2.1), in lower case.
pub(crate) fn is_label(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_LABEL).contains(&name.len())
        && name.bytes().all(sound)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// A host name made from what may not be one: the name of an instance, where
/// only an alias or a tag is known.
pub(crate) fn instance_name(from: &str) -> String {
    let replace = |character: char| {
        let lower = character.to_ascii_lowercase();
        if lower.is_ascii_alphanumeric() {
            lower
        } else {
            '-'
        }
    };
    // Room for a number that makes it differ.
    let name: String = from.chars().map(replace).take(MAX_LABEL - 8).collect();
    let name = name.trim_matches('-');
    if is_instance_name(name) {
        name.to_owned()
    } else {
        "service".to_owned()
    }
}

/// The files by which a guest's libc finds names.
pub(crate) fn files(hostname: &str, has_parent: bool) -> Vec<GuestFile> {
    let mut hosts = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost\n");
    let mut names = vec![(Address::Own, hostname), (Address::Gateway, GATEWAY)];
    if has_parent {
        names.push((Address::Parent, PARENT));
    }
    for (address, name) in names {
        hosts += &format!("{}\t{name}\n{}\t{name}\n", address.v4(), address.v6());
    }
    let file = |path: &str, text: String| GuestFile {
        path: path.to_owned(),
        mode: 0o644,
        bytes: text.into_bytes(),
    };
    vec![
        file("/etc/hosts", hosts),
        file(
            "/etc/resolv.conf",
            format!("nameserver {}\n", Address::Gateway.v4()),
        ),
        file("/etc/hostname", format!("{hostname}\n")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_host_names() {
        for good in ["a", "worker-2", "0redis", &"x".repeat(63)] {
            assert!(is_instance_name(good), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a.b",
            "ä",
            "gateway",
            "parent",
            "localhost",
            "a b",
            &"x".repeat(64),
        ] {
            assert!(!is_instance_name(bad), "{bad}");
        }
        for (from, name) in [
            ("My Service", "my-service"),
            ("redis:7.2", "redis-7-2"),
            ("gateway", "service"),
            ("---", "service"),
            ("日本", "service"),
            ("", "service"),
        ] {
            assert_eq!(instance_name(from), name);
        }
        assert!(is_instance_name(&instance_name(&"x".repeat(500))));
    }

    #[test]
    fn a_guest_knows_its_neighbours() {
        let text = |files: &[GuestFile]| String::from_utf8(files[0].bytes.clone()).unwrap();
        let with = text(&files("worker", true));
        assert!(
            with.contains("10.0.0.2\tworker\nfd00::2\tworker\n"),
            "{with}"
        );
        assert!(with.contains("10.0.0.1\tgateway\n") && with.contains("fd00::3\tparent\n"));
        assert!(!text(&files("worker", false)).contains("parent"));
    }
}
