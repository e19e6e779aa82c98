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
    assert!(one_line(&output).starts_with("lateen: interrupted; "), "{output:?}");
    drop(pipe);
}

#[test]
fn an_interrupted_stream_leaves_the_last_commit() {
    let place = Place::new();
    // The folders above it, which it made, go too.
    interrupted(&place, "build a/b/w --texts - --term-ids");
    assert_eq!(place.names(), [""; 0]);
    fs::write(place.path("in.jsonl"), "{\"id\": \"a\", \"vector\": {\"1\": 1}}\n").unwrap();
    place.ok("build w --texts in.jsonl --term-ids");
    let before = content(&place.path("w"));
    interrupted(&place, "add w --texts - --term-ids");
    let index = Index::open(place.path("w")).unwrap();
    assert_eq!((index.len(), index.info().commit), (1, 2));
    assert!(content(&place.path("w")) == before);
    // The lock is free, and what follows is as if nothing had been.
    place.ok("delete w a");
    place.ok("verify w");
}

/// Signals a command once it is at work on a file, and gives whether it came in time: otherwise it
/// must have done all of its work.
fn caught_at_work(place: &Place, line: &str, made: &str) -> bool {
    let names = place.names();
    let mut command = place.command(line);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let new = |name: &String| name.starts_with('.') && name.contains(made);
    while child.try_wait().unwrap().is_none() && !place.names().iter().any(new) {
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    let pid = child.id().to_string();
    let _ = Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        assert!(place.names().iter().any(|name| name == made), "{line}");
        return false;
    }
    assert_eq!(output.status.code(), Some(9), "{line}: {output:?}");
    assert!(one_line(&output).starts_with("lateen: interrupted; "), "{output:?}");
    assert_eq!(place.names(), names, "{line}");
    true
}

/// Up to the moment a commit is published nothing of it is left; from then on all of it is.
#[test]
fn an_addition_that_is_ended_while_it_commits_is_there_whole_or_not_at_all() {
    let place = Place::new();
    let line = |id: usize| format!("{{\"id\": \"n{id}\", \"vector\": {{\"{}\": 1}}}}\n", id % 97);
    fs::write(place.path("one.jsonl"), line(0)).unwrap();
    fs::write(place.path("in.jsonl"), (1..60_000).map(line).collect::<String>()).unwrap();
    let mut caught = 0;
    for _ in 0..10 {
        place.ok("build w --texts one.jsonl --term-ids --force");
        let before = content(&place.path("w"));
        let files = names(&place.path("w"));
        let mut command = place.command("add w --texts in.jsonl --term-ids");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // What is written is a segment: all documents are read by then.
        let written = || names(&place.path("w")).iter().any(|name| !files.contains(name));
        while child.try_wait().unwrap().is_none() && !written() {
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        let pid = child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status();
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            assert_eq!(Index::open(place.path("w")).unwrap().len(), 60_000);
            continue;
        }
        assert_eq!(output.status.code(), Some(9), "{output:?}");
        assert!(one_line(&output).starts_with("lateen: interrupted; "), "{output:?}");
        assert!(content(&place.path("w")) == before);
        caught += 1;
    }
    assert!(caught > 0, "never in time");
}

#[test]
fn an_interrupted_copy_of_an_index_leaves_nothing() {
    let place = Place::new();
    // Large enough for a signal to come in time, of bytes that no codec makes small.
    let mut schema = lateen::Schema::builder();
    let terms = schema.sparse("terms");
    let schema = schema.build().unwrap();
    let mut writer = IndexWriter::create(place.path("big"), schema).unwrap();
    let mut state = 7u64;
    for at in 0..24 {
        let noise = (0..1 << 18).flat_map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()
        });
        let noise: Vec<u8> = noise.collect();
        let document = lateen::Document::new(format!("d{at}")).payload(&noise);
        writer.add(&document.sparse(&terms, &[(1u32, 1.0f32)]).unwrap()).unwrap();
    }
    writer.commit().unwrap();
    drop(writer);
    place.ok("pack big big.lateen");
    for (line, made) in [("pack big out", "out"), ("unpack big.lateen out", "out")] {
        let mut caught = 0;
        for _ in 0..10 {
            if caught_at_work(&place, line, made) {
                caught += 1;
                continue;
            }
            let out = place.path(made);
            let gone = if out.is_dir() { fs::remove_dir_all(out) } else { fs::remove_file(out) };
            gone.unwrap();
        }
        assert!(caught > 0, "{line}: never in time");
    }
    place.ok("verify big");
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
