//! `ondisk play --serve`: the page over the loopback, to who may have it, and to nobody else.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::Child;

use crate::harness::{Scratch, command, ondisk};

/// A server that ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Server {
    /// Serves at any port that is free; it is told before the first request is taken.
    fn start(args: &[&str]) -> Self {
        let mut child = command(["play", "--serve"].iter().chain(args)).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.strip_prefix("http://127.0.0.1:").and_then(|it| it.strip_suffix("/\n"));
        Self { child, port: port.unwrap().parse().unwrap() }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    /// What is answered to these bytes.
    fn ask(&self, request: &[u8]) -> (String, String) {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn get(&self, method: &str, target: &str, host: &str) -> (String, String) {
        let host = host.replace("PORT", &self.port.to_string());
        self.ask(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
    }
}

fn status(head: &str) -> &str {
    head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap()
}

#[test]
fn the_page_is_served_and_nothing_else() {
    let scratch = Scratch::new();
    let script = scratch.path().join("a.ondisk");
    std::fs::write(&script, "open f create; write f \"A\"\n").unwrap();
    let html = scratch.path().join("a.html");
    let (script, html) = (script.to_str().unwrap(), html.to_str().unwrap());
    ondisk(["play", script, "--html", html]).fine();
    let server = Server::start(&[script]);
    let (head, body) = server.get("GET", "/", "127.0.0.1:PORT");
    assert_eq!(status(&head), "200");
    assert_eq!(body, std::fs::read_to_string(html).unwrap());
    for line in ["Content-Security-Policy: default-src 'none'", "Cache-Control: no-store"] {
        assert!(head.contains(line), "{line}:\n{head}");
    }
    assert_eq!(server.get("HEAD", "/", "localhost:PORT"), (head, String::new()));
    for (method, target, host, told) in [
        ("GET", "/a.html", "localhost:PORT", "404"),
        ("GET", "/etc/passwd", "localhost:PORT", "404"),
        ("POST", "/", "localhost:PORT", "405"),
        ("GET", "/", "evil.example:PORT", "421"),
        ("GET", "/", "evil.example", "421"),
        ("GET /", "/", "localhost:PORT", "400"),
    ] {
        let (head, body) = server.get(method, target, host);
        assert_eq!(status(&head), told, "{method} {target} {host}");
        assert!(!body.contains("<html"), "{method} {target} {host}");
    }
    let long = [&b"GET / HTTP/1.1\r\nX: "[..], &[b'x'; 9000]].concat();
    assert_eq!(status(&server.ask(&long).0), "431");
}

#[test]
fn a_body_that_nobody_reads_does_not_take_the_answer_along() {
    let server = Server::start(&[]);
    let head = format!("POST / HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", server.port);
    let (head, body) = server.ask(&[head.as_bytes(), &[b'x'; 30_000]].concat());
    assert_eq!((status(&head), body.as_str()), ("405", "405 Method Not Allowed\n"));
}

#[test]
fn connections_that_ask_nothing_keep_nobody_waiting() {
    let server = Server::start(&[]);
    let idle: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    assert_eq!(status(&server.get("GET", "/", "localhost:PORT").0), "200");
    let half = server.connect();
    (&half).write_all(b"GET / HT").unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    let mut nothing = Vec::new();
    (&half).read_to_end(&mut nothing).unwrap();
    assert!(nothing.is_empty(), "half a request has no answer");
    assert_eq!(status(&server.get("GET", "/", "localhost:PORT").0), "200");
    drop(idle);
}

#[test]
fn it_listens_on_the_loopback_alone_and_says_when_a_port_is_taken() {
    let server = Server::start(&[]);
    let port = server.port.to_string();
    // Another address of the loopback is what a server on all addresses would answer at.
    #[cfg(target_os = "linux")]
    assert!(TcpStream::connect(("127.0.0.2", server.port)).is_err());
    let taken = ondisk(["play".to_owned(), format!("--serve={port}")]);
    taken.expect(2, &[&format!("127.0.0.1:{port}: the page cannot be served"), "--serve alone"]);
}
