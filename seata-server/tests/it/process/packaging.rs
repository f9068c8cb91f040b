//! What the server is shipped with does as it stands.

use std::{fs, path::PathBuf, process::Command};

use super::{FREE, Process, directory, run, text};

fn packaging(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(packaging(name)).expect(name)
}

/// What the line that begins with this says.
fn line<'a>(text: &'a str, beginning: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(beginning))
        .unwrap_or_else(|| panic!("{beginning} in {text}"))
}

#[test]
fn the_sample_configuration_starts_a_server() {
    let directory = directory();
    let sample = packaging("seata-server.sample.toml");
    let flags = ["--config", sample.to_str().expect("text")];
    let mut server = Process::start(directory.path(), &[&FREE[..], &flags].concat());
    server.says("listening");
    assert!(!server.said.contains("WARN"), "{}", server.said);
    server.signal("TERM");
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn the_arguments_of_the_unit_and_of_the_image_are_ones() {
    let unit = read("seata-server.service");
    let of_unit: Vec<_> = line(&unit, "ExecStart=").split(' ').skip(1).map(str::to_owned).collect();
    let of_image: Vec<String> =
        serde_json::from_str(line(&read("Dockerfile"), "ENTRYPOINT ")).expect("a list of texts");
    for arguments in [of_unit, of_image[1..].to_vec()] {
        let sample = packaging("seata-server.sample.toml").display().to_string();
        let at_hand = |argument: String| if argument.ends_with(".toml") { sample.clone() } else { argument };
        let arguments: Vec<_> = arguments.into_iter().map(at_hand).collect();
        let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        assert!(arguments.contains(&"/var/lib/seata-server"), "{arguments:?}");
        arguments.extend(["--host", "tc.example.org", "config"]);
        let output = run(directory().path(), &arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }
}

/// What passes by itself takes longer than systemd's five quick starts.
#[test]
fn the_unit_is_tried_again_for_ever() {
    let unit = read("seata-server.service");
    let section = unit.split("\n[").find(|section| section.starts_with("Unit]")).expect("a section");
    assert_eq!(line(section, "StartLimitIntervalSec="), "0");
}

/// Where systemd is at hand. With the lines for TLS as well.
#[test]
fn systemd_has_nothing_against_the_unit() {
    let directory = directory();
    let unit = directory.path().join("seata-server.service");
    let binary = env!("CARGO_BIN_EXE_seata-server");
    let written = read("seata-server.service").replace("/usr/local/bin/seata-server", binary);
    let with_tls =
        written.replace("#LoadCredential", "LoadCredential").replace("#Environment", "Environment");
    assert!(
        with_tls.contains("\nLoadCredential=tls.key:/") && with_tls.contains("=%d/tls.key"),
        "{with_tls}"
    );
    for text_of_unit in [written, with_tls] {
        fs::write(&unit, text_of_unit).expect("written");
        let Ok(output) = Command::new("systemd-analyze").arg("verify").arg(&unit).output() else { return };
        let said = text(&output.stderr);
        assert!(!said.contains("seata-server.service"), "{said}");
    }
}
