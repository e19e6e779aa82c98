//! The page that `lateen demo` serves, asked as a browser would, and as one must not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;

use serde_json::Value;

use super::*;

struct Served {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    host: String,
}

impl Served {
    fn start(place: &Place, line: &str) -> Self {
        let mut command = place.command(line);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        out.read_line(&mut said).unwrap();
        let host = said.strip_prefix("http://").and_then(|said| said.split_once('/'));
        let host = host.unwrap_or_else(|| panic!("{said}")).0.to_owned();
        Self { child, out, host }
    }

    /// Sends a request as it stands; gives status, head and body.
    fn send(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        let host = &self.host;
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    }

    fn json(&self, path: &str) -> Value {
        let (status, head, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        assert!(head.contains("application/json"), "{head}");
        serde_json::from_str(&body).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn a_page_is_served_to_this_machine_alone() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let mut served = Served::start(&place, "demo wiki --set SET --port 0");
    assert!(served.host.starts_with("127.0.0.1:"), "{}", served.host);

    let (status, head, page) = served.get("/");
    assert_eq!(status, 200);
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name}: {head}")).to_owned()
    };
    let policy = header("Content-Security-Policy: ");
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
    assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(header("X-Content-Type-Options: "), "nosniff");
    assert_eq!(header("Cache-Control: "), "no-store");
    // What the policy lets run is what stands in the page, and nothing comes from elsewhere.
    let nonce = policy.split('\'').find_map(|part| part.strip_prefix("nonce-")).unwrap();
    assert_eq!(page.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
    assert!(page.contains("\"live\":true") && !page.contains("http"), "{page}");
    assert_ne!(served.get("/").2, page, "each page has marks of its own");

    let told = served.json("/ask?query=3");
    let ways = told["ways"].as_array().unwrap();
    assert_eq!(ways.len(), 3);
    for way in ways {
        assert_eq!(way["hits"].as_array().unwrap().len(), 5);
        assert!(way["us"].as_f64().unwrap() > 0.0);
    }
    let key = ways[2]["hits"][0]["key"].as_str().unwrap().replace('#', "%23");
    let why = served.json(&format!("/why?query=3&key={key}"));
    for part in ["pairs", "pieces", "terms"] {
        assert!(!why[part].as_array().unwrap().is_empty(), "{part}: {why}");
    }
    // The united search orders by MaxSim: what met adds up to the score.
    let score = ways[2]["hits"][0]["score"].as_f64().unwrap();
    let met = why["pairs"].as_array().unwrap().iter().map(|pair| pair[2].as_f64().unwrap());
    assert!((met.sum::<f64>() - score).abs() < 1e-4 * score);

    // Words are searched by the vocabulary of the set: the sparse way only.
    let told = served.json("/ask?words=Sufi+mystic%21");
    assert_eq!(told["ways"].as_array().unwrap().len(), 1);
    let hit = &told["ways"][0]["hits"][0];
    assert!(hit["start"].as_str().unwrap().contains("Sufi"), "{told}");
    let key = hit["key"].as_str().unwrap().replace('#', "%23");
    let why = served.json(&format!("/why?words=sufi+mystic&key={key}"));
    let marked = |word: &str| {
        let mut pieces = why["pieces"].as_array().unwrap().iter();
        pieces.any(|piece| piece[0] == word && piece[1].as_f64().unwrap() > 0.0)
    };
    assert!(marked("mystic") && why["pairs"].as_array().unwrap().is_empty(), "{why}");
    assert!(served.json("/ask?words=%F0%93%80%80")["ways"].as_array().unwrap().is_empty());

    for path in ["/nowhere", "/ask", "/ask?query=60", "/ask?query=x", "/why?query=3&key=nobody"] {
        assert_eq!(served.get(path).0, 404, "{path}");
    }
    let host = &served.host;
    let port = host.split_once(':').unwrap().1;
    let with = |method: &str, host: &str| {
        served.send(&format!("{method} / HTTP/1.1\r\n{host}Connection: close\r\n\r\n")).0
    };
    assert_eq!(with("GET", &format!("Host: localhost:{port}\r\n")), 200);
    // Another name that points here is another site's.
    for host in
        [format!("Host: evil.example:{port}\r\n"), "Host: localhost\r\n".into(), String::new()]
    {
        assert_eq!(with("GET", &host), 403, "{host}");
    }
    assert_eq!(with("POST", &format!("Host: {host}\r\nContent-Length: 0\r\n")), 405);
    let said = place.fails(8, &format!("demo wiki --set SET --port {port}"));
    assert!(said.contains("another --port may be free"), "{said}");

    let pid = served.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    served.out.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with(" answered\n") && rest.contains(" request"), "{rest}");
}

#[test]
fn a_page_is_written_or_served() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    place.fails(2, "demo wiki --set SET --write page.html --port 0");
    place.ok("demo wiki --set SET --write page.html");
    let page = fs::read_to_string(place.path("page.html")).unwrap();
    assert!(!page.contains("nonce") && !page.contains("\"live\""), "a file knows what it says");
    copy_set(&place.path("half"));
    for name in names(&place.path("half")).iter().filter(|name| name.starts_with("tok_")) {
        fs::remove_file(place.path("half").join(name)).unwrap();
    }
    place.fails(3, "demo wiki --set half --port 0");
}
