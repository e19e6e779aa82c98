//! The page as a server that this machine alone can reach.
//!
//! It answers three requests, changes nothing, and loads nothing from elsewhere. A page of another
//! site can neither read its answers (there is no permission for other origins) nor pass for it by
//! a name that it lets point here: the host that a request names must be this machine.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Cursor, Write as _};
use std::net::Ipv4Addr;
use std::time::Duration;

use lateen::readers::SetQueries;
use serde_json::json;
use tiny_http::{Header, Method, Request, Response, Server};

use crate::demo::ask::{Asker, Question, WAYS};
use crate::failure::{Code, Failure};
use crate::{interrupt, text};

/// How often it looks whether it was told to end.
const LOOK: Duration = Duration::from_millis(100);

/// Serves until the command is told to end; gives how often it answered.
pub(super) fn serve(asker: &Asker<'_>, queries: &SetQueries, port: u16) -> Result<String, Failure> {
    let refused = |what: String| {
        let hint = "another --port may be free, 0 lets the system choose";
        Failure::new(Code::Io, format!("listen on 127.0.0.1:{port}: {what}; {hint}"))
    };
    let server =
        Server::http((Ipv4Addr::LOCALHOST, port)).map_err(|error| refused(error.to_string()))?;
    let Some(address) = server.server_addr().to_ip() else {
        return Err(refused("no address".to_owned()));
    };
    let hosts = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{}", address.port()));
    // Nobody need read it.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "http://{}/ (Ctrl-C ends it)", hosts[0]).and_then(|()| out.flush());
    drop(out);
    let mut answered = 0;
    while interrupt::check().is_ok() {
        let next = server.recv_timeout(LOOK).map_err(|error| refused(error.to_string()))?;
        if let Some(request) = next {
            let reply = reply(asker, queries, &hosts, &request);
            // Whoever has left misses nothing.
            let _ = request.respond(reply);
            answered += 1;
        }
    }
    Ok(format!("{} answered\n", text::many(answered, "request"))) // the end that was asked for
}

fn reply(
    asker: &Asker<'_>,
    queries: &SetQueries,
    hosts: &[String; 2],
    request: &Request,
) -> Response<Cursor<Vec<u8>>> {
    let host = request.headers().iter().find(|header| header.field.equiv("Host"));
    if !host.is_some_and(|host| hosts.iter().any(|own| host.value.as_str() == own)) {
        return plain(403, "this page is for the machine it runs on");
    }
    if !matches!(request.method(), Method::Get | Method::Head) {
        return plain(405, "only GET is answered");
    }
    let (path, query) = request.url().split_once('?').unwrap_or((request.url(), ""));
    let told = match path {
        "/" => return page(asker, queries),
        "/ask" => question(queries, query).map(|asked| asker.answer(&asked.as_question())),
        "/why" => question(queries, query)
            .zip(parameter(query, "key"))
            .and_then(|(asked, key)| asker.why(&asked.as_question(), &key).transpose()),
        _ => None,
    };
    match told {
        None => plain(404, "there is nothing here"),
        Some(Err(failure)) => plain(500, &failure.to_string()),
        Some(Ok(value)) => {
            let policy = "default-src 'none'";
            with(200, "application/json", policy, value.to_string())
        }
    }
}

/// A question that may own its words.
enum Asked<'a> {
    OfSet(lateen::readers::SetQuery<'a>),
    Words(String),
}

impl Asked<'_> {
    fn as_question(&self) -> Question<'_> {
        match self {
            Self::OfSet(query) => Question::OfSet(*query),
            Self::Words(words) => Question::Words(words),
        }
    }
}

/// `query=ROW` or `words=TEXT`.
fn question<'a>(queries: &'a SetQueries, query: &str) -> Option<Asked<'a>> {
    match parameter(query, "query") {
        Some(row) => queries.get(row.parse().ok()?).map(Asked::OfSet),
        None => parameter(query, "words").map(Asked::Words),
    }
}

/// The value of a name in `name=value&…`, with `+` and `%20` as they are meant.
fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn page(asker: &Asker<'_>, queries: &SetQueries) -> Response<Cursor<Vec<u8>>> {
    let texts: Vec<_> = queries.iter().map(|query| json!({ "text": query.text })).collect();
    let data = json!({
        "documents": asker.documents(),
        "ways": WAYS.map(|(name, _)| name),
        "queries": texts,
        "live": true,
        "words": asker.knows_words(),
    });
    // The keys of a hasher are the system's random numbers: what is marked was made here, now.
    let random = || RandomState::new().build_hasher().finish();
    let nonce = format!("{:016x}{:016x}", random(), random());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = super::page(&data, &format!(" nonce=\"{nonce}\""));
    with(200, "text/html; charset=utf-8", &policy, page)
}

fn plain(status: u16, what: &str) -> Response<Cursor<Vec<u8>>> {
    with(status, "text/plain; charset=utf-8", "default-src 'none'", format!("{what}\n"))
}

fn with(status: u16, kind: &str, policy: &str, body: String) -> Response<Cursor<Vec<u8>>> {
    let mut response = Response::from_string(body).with_status_code(status);
    for (name, value) in [
        ("Content-Type", kind),
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ] {
        if let Ok(header) = Header::from_bytes(name, value) {
            response.add_header(header);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = "words=fat+%C3%A9%26&key=a&bad=%zz";
        assert_eq!(parameter(query, "words").as_deref(), Some("fat é&"));
        assert_eq!(parameter(query, "key").as_deref(), Some("a"));
        for (query, name) in [(query, "ke"), (query, "bad"), ("k=%f", "k"), ("k=%ff", "k")] {
            assert_eq!(parameter(query, name), None, "{name}");
        }
    }
}
