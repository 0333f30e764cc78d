//! The page as it is built: fresh, alone, and small.
//!
//! Each rule is a function from a page to what is wrong with it, so that the canaries can show each
//! rule a page that breaks it.

#![allow(clippy::disallowed_methods, reason = "reads the repository, not storage")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use ondisk_player::{Data, page, policy};

type Rule = fn(&str) -> Option<String>;

const RULES: [(&str, Rule); 4] = [
    ("it asks no network", asks_no_network),
    ("it says so to the browser", has_a_policy),
    ("it is small", is_small),
    ("it is fresh", is_fresh),
];

/// Without data of its own.
const MOST_BYTES: usize = 600_000;

/// Addresses that name something and are never asked.
const NAMES: [&str; 2] = ["http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"];

fn asks_no_network(page: &str) -> Option<String> {
    let mut rest = page;
    while let Some(at) =
        ["http:", "https:", "ws://", "wss://"].iter().filter_map(|it| rest.find(it)).min()
    {
        let address = rest[at..].split(['"', '\'', '`', ' ', ')', '>', ';']).next()?;
        if !NAMES.contains(&address) {
            return Some(format!("names {address:.80}"));
        }
        rest = &rest[at + address.len()..];
    }
    let asked = ["src=\"", "href=\"", "action=\"", "url(", "src='", "href='", "@import"];
    asked.into_iter().find_map(|mark| {
        let mut rest = page.split(mark);
        rest.next();
        let odd = rest.find(|it| !it.starts_with("data:") && !it.starts_with('#'))?;
        Some(format!("{mark}{odd:.40}"))
    })
}

fn has_a_policy(page: &str) -> Option<String> {
    let Some((_, rest)) = page.split_once("http-equiv=\"Content-Security-Policy\" content=\"")
    else {
        return Some("has none".to_owned());
    };
    let policy = rest.split('"').next()?;
    let open = ["http", "*", "'self'", "'unsafe-eval'", "blob:", "connect-src"];
    let odd = open.into_iter().find(|word| policy.contains(word));
    match odd {
        Some(word) => Some(format!("allows {word}: {policy}")),
        None if policy.split("; ").any(|part| part == "default-src 'none'") => None,
        None => Some(format!("allows too much: {policy}")),
    }
}

fn is_small(page: &str) -> Option<String> {
    (page.len() > MOST_BYTES).then(|| format!("{} bytes; {MOST_BYTES} are the most", page.len()))
}

fn is_fresh(page: &str) -> Option<String> {
    let sources =
        format!("<meta name=\"ondisk-sources\" content=\"{:016x}\">", hash_of(&sources()));
    (!page.contains(&sources)).then(|| {
        format!("its sources have changed ({sources}): in crates/ondisk-player/web, node build.mjs")
    })
}

/// A file: its path from the root of the repository, and its bytes.
type Source = (String, Vec<u8>);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// What the page is built from, as `web/build.mjs` lists it.
fn sources() -> Vec<Source> {
    let root = root();
    let web = root.join("crates/ondisk-player/web");
    let single = ["index.html", "build.mjs", "package.json", "tsconfig.json"];
    let mut left = vec![web.join("src"), web.join("scripts"), root.join("examples/scripts")];
    left.extend(single.map(|name| web.join(name)));
    left.push(root.join("crates/ondisk-player/dist/ondisk.wasm"));
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), bytes));
        }
    }
    found.sort();
    found
}

/// FNV-1a of 64 bits over each path, a zero, its bytes, a zero.
fn hash_of(sources: &[Source]) -> u64 {
    let bytes = sources.iter().flat_map(|(path, bytes)| [path.as_bytes(), &[0], bytes, &[0]]);
    bytes.flatten().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn fresh_alone_and_small() {
    let page = page(&Data::Opening);
    assert!(policy().starts_with("default-src 'none'"), "no policy was found");
    let broken: Vec<String> =
        RULES.iter().filter_map(|(name, rule)| Some(format!("{name}: {}", rule(&page)?))).collect();
    assert!(broken.is_empty(), "dist/player.html\n{}", broken.join("\n"));
}

#[test]
fn the_hash_is_fnv_1a() {
    assert_eq!(hash_of(&[]), 0xcbf2_9ce4_8422_2325);
    // Of the bytes "a", 0, "b", 0, worked out by hand with the definition.
    let by_hand = [b'a', 0, b'b', 0].into_iter().fold(0xcbf2_9ce4_8422_2325_u128, |hash, byte| {
        ((hash ^ u128::from(byte)) * 0x0100_0000_01b3) % (1 << 64)
    });
    assert_eq!(u128::from(hash_of(&[("a".to_owned(), b"b".to_vec())])), by_hand);
}

#[test]
fn canaries_each_rule_finds_the_page_that_breaks_it() {
    let page = page(&Data::Opening);
    let with = |what: &str| page.replace("</head>", &format!("{what}</head>"));
    for address in [
        "<script src=\"https://a.example/x.js\"></script>",
        "<link href=\"/x.css\">",
        "<style>a{background:url(//a.example/x)}</style>",
        "fetch('http://a.example')",
        "\"http://www.w3.org/2000/svg.js\"",
    ] {
        assert!(asks_no_network(&with(address)).is_some(), "{address}");
    }
    let policies = [
        page.replace("default-src 'none'", "default-src data:"),
        page.replace("img-src", "connect-src"),
    ];
    for page in &policies {
        assert!(has_a_policy(page).is_some());
    }
    assert!(is_small(&with(&" ".repeat(MOST_BYTES))).is_some());
    let name =
        page.replace("name=\"ondisk-sources\" content=\"", "name=\"ondisk-sources\" content=\"0");
    assert!(is_fresh(&name).is_some());
    let mut changed = sources();
    let before = hash_of(&changed);
    changed.last_mut().unwrap().1.push(b' ');
    assert_ne!(hash_of(&changed), before);
}
