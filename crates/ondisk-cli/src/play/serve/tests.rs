//! Who gets the page, and who does not.

use super::*;

const PORT: u16 = 8123;
const PAGE: Answer = Answer::Page(Body::Sent);

fn asked(text: &str) -> Answer {
    answer(text.as_bytes(), PORT)
}

fn from(host: &str) -> Answer {
    asked(&format!("GET / HTTP/1.1\r\nHost: {host}"))
}

#[test]
fn the_page_is_all_there_is() {
    let of = |line: &str| asked(&format!("{line} HTTP/1.1\r\nAccept: */*\r\nhost:localhost:8123"));
    assert_eq!(of("GET /"), PAGE);
    assert_eq!(of("HEAD /"), Answer::Page(Body::Left));
    for line in ["POST /", "OPTIONS /", "get /", "DELETE /"] {
        assert_eq!(of(line), Answer::Refused(Status::NOT_ALLOWED), "{line}");
    }
    for line in ["GET /favicon.ico", "GET /../etc/passwd", "GET /?x", "GET *", "GET //", "PUT /a"] {
        assert_eq!(of(line), Answer::Refused(Status::NOT_FOUND), "{line}");
    }
}

#[test]
fn only_a_name_of_the_loopback_is_answered() {
    for host in ["127.0.0.1:8123", "localhost:8123", "LocalHost:8123", "  localhost:8123\t"] {
        assert_eq!(from(host), PAGE, "{host}");
    }
    for host in [
        "evil.example:8123",
        "localhost.evil.example:8123",
        "127.0.0.1.evil.example:8123",
        "127.0.0.1:8124",
        "127.0.0.1",
        "127.0.0.1:08123",
        "evil@127.0.0.1:8123",
        "[::1]:8123",
        "",
    ] {
        assert_eq!(from(host), Answer::Refused(Status::NOT_HERE), "{host}");
    }
    let web = |host: &str| answer(format!("GET / HTTP/1.1\r\nHost: {host}").as_bytes(), 80);
    assert_eq!(web("localhost"), PAGE);
    assert_eq!(web("evil.example"), Answer::Refused(Status::NOT_HERE));
}

#[test]
fn what_is_no_request_is_refused() {
    for text in [
        "",
        "GET /",
        "GET / HTTP/1.1",
        "GET / HTTP/2\r\nHost: localhost:8123",
        "GET /  HTTP/1.1\r\nHost: localhost:8123",
        "GET / x HTTP/1.1\r\nHost: localhost:8123",
        "GET / HTTP/1.1\r\nHost: localhost:8123\r\nHost: evil.example",
        "GET / HTTP/1.1\r\nHost: localhost:8123\r\n evil.example",
        "GET / HTTP/1.1\r\nHost : localhost:8123",
        "GET / HTTP/1.1\r\nX: \n\r\nnothing",
    ] {
        assert_eq!(asked(text), Answer::Refused(Status::BAD), "{text:?}");
    }
    assert_eq!(answer(b"GET /\xff HTTP/1.1\r\nHost: x", PORT), Answer::Refused(Status::BAD));
}

#[test]
fn a_request_is_read_up_to_its_bound() {
    let request = |len: usize| [vec![b'x'; len], b"\r\n\r\nbody".to_vec()].concat();
    assert_eq!(head(&mut &request(9)[..]).unwrap(), Some(vec![b'x'; 9]));
    assert_eq!(head(&mut &request(LONGEST)[..]).unwrap().unwrap().len(), LONGEST);
    assert_eq!(head(&mut &request(LONGEST + 1)[..]).unwrap(), None);
    let mut endless = io::repeat(b'x').take(1 << 30);
    assert_eq!(head(&mut endless).unwrap(), None);
    assert!((1 << 30) - endless.limit() <= 2 * LONGEST as u64, "no more was read");
    let cut = head(&mut &b"GET / HT"[..]).unwrap_err();
    assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_connection_whose_time_is_over_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(b"GET /").unwrap();
    let mut wire = Wire::new(listener.accept().unwrap().0, Duration::ZERO);
    assert_eq!(wire.read(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(wire.write(b"x").unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn an_answer_says_how_the_page_is_to_be_kept() {
    let data = Data::Timeline { name: "<a>", text: "{}" };
    let site = Site { data: &data, len: length(&data), port: PORT };
    let written = |answer| {
        let mut bytes = Vec::new();
        write_answer(&mut bytes, answer, &site).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let whole = written(PAGE);
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, ondisk_player::page(&data));
    assert_eq!(written(Answer::Page(Body::Left)), format!("{head}\r\n\r\n"));
    for line in [
        "HTTP/1.1 200 OK".to_owned(),
        format!("Content-Length: {}", body.len()),
        format!("Content-Security-Policy: {}; frame-ancestors 'none'", policy()),
        "Cache-Control: no-store".to_owned(),
        "X-Content-Type-Options: nosniff".to_owned(),
    ] {
        assert!(head.lines().any(|known| known == line), "{line}:\n{head}");
    }
    let refused = written(Answer::Refused(Status::NOT_ALLOWED));
    assert!(refused.contains("\r\nAllow: GET, HEAD\r\n"), "{refused}");
    assert!(refused.ends_with("\r\n\r\n405 Method Not Allowed\n"), "{refused}");
}
