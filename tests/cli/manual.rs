//! Help, completions and manual pages.

use super::*;

#[test]
fn every_help_is_read_on_80_columns() {
    let place = Place::new();
    let help = place.ok("--help");
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(commands.len() >= 17 && commands.contains(&"doctor"), "{commands:?}");
    for command in commands {
        let mut texts = vec![place.ok(&format!("{command} --help"))];
        texts.push(place.ok(&format!("{command} -h")));
        for line in texts.iter().flat_map(|text| text.lines()).chain(help.lines()) {
            assert!(line.chars().count() <= 80, "{command}: {line}");
        }
    }
}

#[test]
fn shells_complete_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = place.ok(&format!("completions {shell}"));
        for word in ["lateen", "doctor", "sparse-codec", "export"] {
            assert!(said.contains(word), "{shell}: {word}");
        }
    }
    place.fails(2, "completions csh");
    // Where there is a bash, it takes the file.
    fs::write(place.path("lateen.bash"), place.ok("completions bash")).unwrap();
    if let Ok(output) = Command::new("bash").arg("-n").arg(place.path("lateen.bash")).output() {
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn there_is_a_page_for_every_command() {
    let place = Place::new();
    assert!(place.ok("man pages").ends_with(" pages\n"));
    let pages = content(&place.path("pages"));
    for name in ["lateen.1", "lateen-build.1", "lateen-doctor.1", "lateen-bench.1"] {
        let page = String::from_utf8_lossy(&pages[name]).into_owned();
        assert!(page.contains(".TH") && page.contains("OPTIONS"), "{name}");
    }
    assert!(String::from_utf8_lossy(&pages["lateen.1"]).contains("interrupted"), "the exit codes");
    fs::write(place.path("file"), "").unwrap();
    place.fails(8, "man file/pages");
}
