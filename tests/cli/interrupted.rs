//! Commands that are ended, or whose files the system does not let grow.
#![cfg(unix)]

use std::io::Write;

use super::*;

/// Starts a command that waits for more of its standard input, and interrupts it.
fn interrupted(place: &Place, line: &str) {
    let mut command = place.command(line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // More than a chunk, so that documents are with the writer, and the command listens.
    for id in 0..5000 {
        writeln!(pipe, "{{\"id\": \"n{id}\", \"vector\": {{\"{}\": 1}}}}", id % 7).unwrap();
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    assert_eq!(one_line(&output), "lateen: interrupted\n");
    drop(pipe);
}

#[test]
fn an_interrupted_stream_leaves_the_last_commit() {
    let place = Place::new();
    interrupted(&place, "build w --texts - --term-ids");
    assert_eq!(place.names(), [""; 0]);
    fs::write(place.path("in.jsonl"), "{\"id\": \"a\", \"vector\": {\"1\": 1}}\n").unwrap();
    place.ok("build w --texts in.jsonl --term-ids");
    let before = content(&place.path("w"));
    interrupted(&place, "add w --texts - --term-ids");
    let index = Index::open(place.path("w")).unwrap();
    assert_eq!((index.len(), index.info().commit), (1, 2));
    for (name, bytes) in &before {
        assert!(fs::read(place.path("w").join(name)).unwrap() == *bytes, "{name}");
    }
    // The lock is free, and what follows is as if nothing had been.
    place.ok("delete w a");
    place.ok("verify w");
}

#[test]
fn a_limit_of_file_size_is_an_error_like_others() {
    let place = Place::new();
    let lateen = env!("CARGO_BIN_EXE_lateen");
    let script = format!("ulimit -f 200; exec {lateen} build wiki --set \"$1\"");
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash"]).arg(set()).current_dir(place.path(""));
    let Ok(output) = command.output() else {
        println!("skipped: no bash here");
        return;
    };
    assert_eq!(output.status.code(), Some(8), "{output:?}");
    let said = one_line(&output);
    assert!(said.contains("write") && said.contains("too large"), "{said}");
    assert_eq!(place.names(), [""; 0]);
}
