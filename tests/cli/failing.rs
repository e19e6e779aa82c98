//! What a command that fails says, and what it leaves.

use super::*;

#[test]
fn what_is_not_there_is_named() {
    let place = Place::new();
    let line = place.fails(3, "build wiki --set nowhere");
    assert!(line.contains("open nowhere: "), "{line}");
    for line in [
        "info nowhere",
        "verify nowhere",
        "pack nowhere out",
        "search nowhere --set SET --mode sparse --top 5 --run out.run",
    ] {
        let line = place.fails(4, line);
        assert!(line.contains("nowhere: not a Lateen index"), "{line}");
    }
    fs::write(place.path("letter.txt"), "Dear reader,\n\nthis is no index.\n").unwrap();
    fs::write(place.path("empty"), "").unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    for name in ["letter.txt", "empty", "folder"] {
        let line = place.fails(4, &format!("info {name}"));
        assert!(line.contains(&format!("{name}: not a Lateen index")), "{line}");
    }
    place.ok("build wiki --set SET");
    let line = place.fails(3, "search wiki --set nowhere --mode sparse --top 5 --run out.run");
    assert!(line.contains("nowhere"), "{line}");
    let line = place.fails(3, "search wiki --set folder --mode sparse --top 5 --run out.run");
    assert!(line.contains("no queries.jsonl"), "{line}");
    assert_eq!(place.names(), ["empty", "folder", "letter.txt", "wiki"]);
}

#[test]
fn damage_is_found() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    place.ok("pack wiki wiki.lateen");
    let live = |name: &String| name.starts_with("seg-") || name.ends_with('2');
    let mut files = names(&place.path("wiki"));
    files.retain(live);
    assert_eq!(files.len(), 2, "a segment and the newest manifest: {files:?}");
    let files = files.into_iter().map(|name| ("wiki", place.path("wiki").join(name)));
    for (index, path) in files.chain([("wiki.lateen", place.path("wiki.lateen"))]) {
        let good = fs::read(&path).unwrap();
        // Not the first twelve bytes: there it is another format, or a newer one.
        for at in [0, 100, 5_000, 123_457, 2_000_003] {
            let mut bad = good.clone();
            bad[12 + at % (good.len() - 12)] ^= 4;
            put(&path, &bad);
            place.fails(5, &format!("verify {index}"));
        }
        put(&path, &good);
        place.ok(&format!("verify {index}"));
    }
    let good = fs::read(place.path("wiki.lateen")).unwrap();
    for len in [8, 63, 64, 1000, good.len() - 1] {
        put(&place.path("wiki.lateen"), &good[..len]);
        for command in ["info", "verify"] {
            place.fails(5, &format!("{command} wiki.lateen"));
        }
        place.fails(5, "search wiki.lateen --set SET --mode sparse --top 5 --run out.run");
    }
    assert_eq!(place.names(), ["wiki", "wiki.lateen"]);
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    fs::create_dir(place.path("folder")).unwrap();
    let search = "search wiki --set SET --mode sparse --top 5 --run";
    fs::write(place.path("file"), "").unwrap();
    let line = place.fails(8, &format!("{search} file/out.run"));
    assert!(line.contains("write file/out.run: "), "{line}");
    place.fails(8, &format!("{search} folder"));
    place.fails(8, "pack wiki file/wiki.lateen");
    place.fails(7, "pack wiki folder");
    place.fails(7, "man file");
    place.fails(8, "build file/wiki --set SET");
    if Path::new("/dev/full").exists() {
        place.fails(8, &format!("{search} /dev/full"));
        place.ok(&format!("{search} /dev/null"));
    }
    // A run that is there is replaced, and only by a whole one.
    fs::write(place.path("out.run"), "old").unwrap();
    place.fails(3, "search wiki --set nowhere --mode sparse --top 5 --run out.run");
    assert_eq!(fs::read(place.path("out.run")).unwrap(), b"old");
    place.ok(&format!("{search} out.run"));
    assert_eq!(read(&fs::read(place.path("out.run")).unwrap()).len(), 60);
    // An index is not.
    place.ok("pack wiki wiki.lateen");
    for name in ["wiki.lateen", "wiki/seg-0000000000000001.seg"] {
        place.fails(7, &format!("{search} {name}"));
    }
    place.ok("verify wiki.lateen");
    place.ok("verify wiki");
    assert_eq!(place.names(), ["file", "folder", "out.run", "wiki", "wiki.lateen"]);
}

#[test]
fn flags_that_are_wrong_are_one_line_and_code_2() {
    let place = Place::new();
    let search = "search wiki --set SET --mode sparse --run out.run --top";
    for line in [
        "frobnicate".to_owned(),
        "build".to_owned(),
        "build wiki".to_owned(),
        "build wiki --set SET --codec f8".to_owned(),
        "build wiki --set SET --codec pq32".to_owned(),
        "build wiki --set SET --tier residual4".to_owned(),
        "build wiki --set SET --sparse-codec u2".to_owned(),
        "build wiki --set SET --sparse-codec pruned:1.0".to_owned(),
        "build wiki --set SET --sparse-codec pruned:0.005".to_owned(),
        "build wiki --set SET --sparse-codec pruned:0".to_owned(),
        "build wiki --set SET --memory 0".to_owned(),
        "build wiki --set SET --threads none".to_owned(),
        "build / --set SET".to_owned(),
        format!("{search} 0"),
        format!("{search} 10001"),
        format!("{search} -3"),
        format!("{search} 5 --exact --effort 0.5"),
        format!("{search} 5 --effort 0.5 --recall 0.5"),
        format!("{search} 5 --effort 1.5"),
        format!("{search} 5 --effort -1"),
        format!("{search} 5 --recall 0"),
        format!("{search} 5 --candidates 0"),
        "search wiki --set SET --mode dense --top 5 --run out.run".to_owned(),
        "info".to_owned(),
        "verify wiki --quick".to_owned(),
    ] {
        let said = place.fails(2, &line);
        assert!(!said.contains("error:"), "{said}");
        if line.ends_with("-3") {
            assert!(said.contains("-3") && !said.contains("unexpected"), "{said}");
        }
    }
    assert_eq!(place.names(), [""; 0]);

    // With no command at all the help is there too.
    let output = place.command("").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    one_line(&output);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Usage: lateen"));
}

#[test]
fn help_says_the_exit_codes() {
    let place = Place::new();
    let help = place.ok("--help");
    for code in 0..=9 {
        assert!(help.contains(&format!("\n  {code}  ")), "{help}");
    }
    for command in ["build", "search", "info", "verify", "pack", "eval"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        assert!(place.ok(&format!("{command} --help")).contains("Usage: lateen"));
    }
    assert!(place.ok("--version").starts_with("lateen "));
}

/// As in `lateen build … | true`.
#[test]
fn a_reader_that_left_is_no_failure() {
    let place = Place::new();
    let mut command = place.command("build wiki --set SET");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

/// Sends a signal to a command that waits at a full pipe which nobody reads.
#[cfg(unix)]
#[test]
fn an_interrupted_command_says_so_and_leaves_nothing() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let pipe = place.path("pipe");
    if !Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
        println!("skipped: no mkfifo here");
        return;
    }
    for signal in ["-INT", "-TERM"] {
        let mut command = place.command("search wiki --set SET --mode sparse --top 400 --run pipe");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Opened as soon as the command has it open too; a pipe holds less than the run.
        let reader = fs::File::open(&pipe).unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(9), "{output:?}");
        assert!(one_line(&output).starts_with("lateen: interrupted; "), "{output:?}");
        drop(reader);
    }
    assert_eq!(place.names(), ["pipe", "wiki"]);
}
