//! What packages are made with: manual pages and completions.

use std::{fs, process::Command};

use super::{Place, Said};

/// The subcommands that `arguments --help` lists.
fn subcommands(place: &Place, arguments: &[&str]) -> Vec<String> {
    let said = place.run(&[arguments, &["--help"]].concat());
    let list = said.out.split_once("Commands:\n").map_or("", |(_, list)| list);
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_of_the_help_has_a_page() {
    let place = Place::new();
    let dir = place.path("pages");
    let said = place.run(&["man", &dir.display().to_string()]);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{said:?}");

    let mut expected = vec!["doorward.1".to_owned()];
    for command in subcommands(&place, &[]) {
        for nested in subcommands(&place, &[&command]) {
            let deeper = subcommands(&place, &[&command, &nested]);
            expected.extend(deeper.iter().map(|deeper| format!("doorward-{command}-{nested}-{deeper}.1")));
            expected.push(format!("doorward-{command}-{nested}.1"));
        }
        expected.push(format!("doorward-{command}.1"));
    }
    expected.sort();
    assert!(expected.contains(&"doorward-pad-qualify-record.1".to_owned()), "{expected:?}");
    assert!(expected.contains(&"doorward-gallery-export.1".to_owned()), "{expected:?}");
    let mut pages: Vec<_> =
        fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    pages.sort();
    assert_eq!(pages, expected);

    let page = fs::read_to_string(dir.join("doorward-enrol.1")).unwrap();
    let title = format!(".TH doorward-enrol 1 \"\" \"doorward {}\" doorward\n", env!("CARGO_PKG_VERSION"));
    assert!(page.contains(&title), "{page}");
    assert!(page.contains("Examples:\n.nf\n  doorward enrol "), "examples keep their lines: {page}");
}

#[test]
fn a_file_is_no_folder_for_pages() {
    let place = Place::new();
    let file = place.file("pages", "");
    let said = place.run(&["man", &file]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains(&file), "{said:?}");
}

#[test]
fn the_shells_complete_commands_and_hide_the_packagers() {
    let place = Place::new();
    assert!(subcommands(&place, &[]).contains(&"completions".to_owned()));
    assert!(!subcommands(&place, &[]).contains(&"man".to_owned()));

    let script = place.file("doorward.bash", place.run(&["completions", "bash"]).out);
    let ask = r#"set -eu; . "$1"; COMP_WORDS=(doorward ga); COMP_CWORD=1; _doorward doorward ga doorward; echo "${COMPREPLY[*]}""#;
    let said = Said::of(&Command::new("bash").args(["-c", ask, "bash", &script]).output().unwrap());
    assert_eq!((said.code, said.out.as_str()), (0, "gallery\n"), "{said:?}");

    assert!(place.run(&["completions", "zsh"]).out.starts_with("#compdef doorward"));
    assert!(place.run(&["completions", "fish"]).out.contains("complete -c doorward"));
    let said = place.run(&["completions", "csh"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("csh") && said.err.contains("fish"), "{said:?}");
}
