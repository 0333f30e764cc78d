//! The page over HTTP, to this machine alone: `GET` and `HEAD` of `/`, and nothing else.
//!
//! Invariant: only who asks for this address by a name of the loopback gets the page, so that a
//! site whose name was made to point here does not; and every request is bounded in bytes, in time
//! and in how many there are at once.

use std::io::{self, BufWriter, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ondisk_player::{Data, policy, write_page};

/// The longest request that is read.
const LONGEST: usize = 8 << 10;
/// So many are answered at once: a browser opens some connections that it does not use.
const AT_ONCE: usize = 16;
/// How long a request may take to come, …
const TO_ASK: Duration = Duration::from_secs(5);
/// … and how long its answer to go.
const TO_ANSWER: Duration = Duration::from_secs(60);

/// What is served.
struct Site<'a> {
    data: &'a Data<'a>,
    /// The length of the page.
    len: u64,
    port: u16,
}

/// Answers until the listener breaks, and says how it did.
pub(super) fn serve(listener: &TcpListener, port: u16, data: &Data<'_>) -> io::Error {
    let site = Site { data, len: length(data), port };
    let (site, busy) = (&site, &AtomicUsize::new(0));
    thread::scope(|scope| {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if is_of_one(&error) => continue,
                Err(error) => return error,
            };
            if busy.fetch_add(1, Ordering::Relaxed) >= AT_ONCE {
                busy.fetch_sub(1, Ordering::Relaxed);
                continue; // closed, unanswered
            }
            let one = move || {
                // Whoever went away, or was too slow, has its answer.
                converse(stream, site).unwrap_or_default();
                busy.fetch_sub(1, Ordering::Relaxed);
            };
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, one) {
                return error;
            }
        }
    })
}

/// Whether an error is of one connection, and not of the listener.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// How long the page is: it is written twice, and never kept.
fn length(data: &Data<'_>) -> u64 {
    struct Count(u64);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // A count takes whatever is written to it.
    write_page(&mut count, data).unwrap_or_default();
    count.0
}

/// Reads one request and answers it.
fn converse(stream: TcpStream, site: &Site<'_>) -> io::Result<()> {
    let mut wire = Wire::new(stream, TO_ASK);
    let answer = match head(&mut wire)? {
        Some(head) => answer(&head, site.port),
        None => Answer::Refused(Status::TOO_LONG),
    };
    wire.until = now() + TO_ANSWER;
    let mut to = BufWriter::with_capacity(1 << 16, &mut wire);
    write_answer(&mut to, answer, site)?;
    to.flush()?;
    drop(to);
    // What is closed with bytes unread takes the answer along.
    wire.stream.shutdown(Shutdown::Write)?;
    wire.until = now() + TO_ASK;
    io::copy(&mut wire.take(1 << 16), &mut io::sink()).map(drop)
}

/// The request up to its empty line; none where that does not come in time and in bounds.
fn head(wire: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while head.len() <= LONGEST {
        let n = wire.read(&mut part)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&part[..n]);
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            head.truncate(end);
            return Ok((end <= LONGEST).then_some(head));
        }
    }
    Ok(None)
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The page, or what it would come with.
    Page(Body),
    Refused(Status),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Sent,
    Left,
}

/// A status that is no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Status(&'static str);

impl Status {
    const BAD: Self = Self("400 Bad Request");
    const NOT_FOUND: Self = Self("404 Not Found");
    const NOT_ALLOWED: Self = Self("405 Method Not Allowed");
    const NOT_HERE: Self = Self("421 Misdirected Request");
    const TOO_LONG: Self = Self("431 Request Header Fields Too Large");
}

/// The answer to a request.
fn answer(head: &[u8], port: u16) -> Answer {
    let Some((method, target, host)) = std::str::from_utf8(head).ok().and_then(parse) else {
        return Answer::Refused(Status::BAD);
    };
    if !is_loopback(host, port) {
        return Answer::Refused(Status::NOT_HERE);
    }
    match (method, target) {
        ("GET", "/") => Answer::Page(Body::Sent),
        ("HEAD", "/") => Answer::Page(Body::Left),
        (_, "/") => Answer::Refused(Status::NOT_ALLOWED),
        _ => Answer::Refused(Status::NOT_FOUND),
    }
}

/// A request's method, target and host (RFC 9112): it has one host, or it is none.
fn parse(head: &str) -> Option<(&str, &str, &str)> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !version.starts_with("HTTP/1.") {
        return None;
    }
    let mut hosts = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.is_empty() || name.contains(|c: char| c.is_ascii_whitespace() || c.is_control()) {
            return None;
        }
        if name.eq_ignore_ascii_case("host") {
            hosts.push(value.trim_matches([' ', '\t']));
        }
    }
    match hosts[..] {
        [host] => Some((method, target, host)),
        _ => None,
    }
}

/// Whether a host is this one, by a name that nobody else can give away.
fn is_loopback(host: &str, port: u16) -> bool {
    let is_ours = |name: &str| name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost");
    match host.rsplit_once(':') {
        Some((name, given)) => is_ours(name) && given == port.to_string(),
        None => is_ours(host) && port == 80,
    }
}

fn write_answer(to: &mut impl Write, answer: Answer, site: &Site<'_>) -> io::Result<()> {
    let (status, kind, len) = match answer {
        Answer::Page(_) => ("200 OK", "text/html; charset=utf-8", site.len),
        Answer::Refused(Status(status)) => {
            (status, "text/plain; charset=utf-8", status.len() as u64 + 1)
        }
    };
    write!(to, "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n")?;
    if answer == Answer::Refused(Status::NOT_ALLOWED) {
        to.write_all(b"Allow: GET, HEAD\r\n")?;
    }
    write!(to, "Content-Security-Policy: {}; frame-ancestors 'none'\r\n", policy())?;
    to.write_all(
        b"X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n\
        Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n\
        Connection: close\r\n\r\n",
    )?;
    match answer {
        Answer::Page(Body::Sent) => write_page(to, site.data),
        Answer::Page(Body::Left) => Ok(()),
        Answer::Refused(Status(status)) => writeln!(to, "{status}"),
    }
}

/// A connection whose every wait ends when its time is over.
struct Wire {
    stream: TcpStream,
    until: Instant,
}

impl Wire {
    fn new(stream: TcpStream, time: Duration) -> Self {
        Self { stream, until: now() + time }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(into)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[expect(clippy::disallowed_methods, reason = "who asks does not keep us waiting for ever")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
