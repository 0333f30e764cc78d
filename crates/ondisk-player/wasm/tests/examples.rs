//! Every example script, asked as a page would: what is told fits together, and says what the
//! script's comment says.

use ondisk_player_wasm::Desk;
use serde_json::Value;

/// A desk, what it said of a run, and its timeline.
fn run(options: &str, script: &str) -> (Desk, Value, String) {
    let mut desk = Desk::default();
    let answer = desk.ask(format!("run {options}\n{script}").as_bytes());
    let (first, timeline) = answer.split_once('\n').unwrap_or((&answer, ""));
    let info: Value = serde_json::from_str(first).expect("JSON");
    (desk, info, timeline.to_owned())
}

fn ask(desk: &mut Desk, request: &str) -> Value {
    let answer: Value = serde_json::from_str(&desk.ask(request.as_bytes())).expect("JSON");
    assert_eq!(answer["ok"], true, "{request}: {answer}");
    answer
}

macro_rules! scripts {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../../examples/scripts/", $name, ".ondisk"))),)*]
    };
}

const SCRIPTS: [(&str, &str); 35] = scripts! {
    "batch_of_100" "buffer_full" "capacitors" "close" "failed_fsync" "fdatasync_growing"
    "fdatasync_written" "flush" "fsync" "fsync_without_flush" "group_commit" "log_after_page"
    "log_before_page" "log_truncate" "log_truncate_without_sync" "lying_drive"
    "lying_drive_crash" "merge_and_reorder" "network_file_system" "new_file_with_directory"
    "new_file_without_directory" "ordered_journaling" "ram_disk" "rename_with_directory"
    "rename_with_sync" "rename_without_sync" "sleep_15s_crash" "sleep_15s_cut"
    "sleep_15s_kill" "sleep_5s_crash" "sleep_5s_cut" "sleep_5s_kill" "wal_commit" "write_only"
    "write_flush_fsync"
};

/// The machine that a script's comment names.
fn options(script: &str) -> String {
    let line = script.lines().find(|line| line.contains("ondisk sim")).unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let given = words.windows(2).filter(|pair| matches!(pair[0], "--fs" | "--drive"));
    given.map(|pair| format!("{}={} ", &pair[0][2..], pair[1])).collect()
}

fn script(name: &str) -> &'static str {
    SCRIPTS.iter().find(|(known, _)| *known == name).map_or("", |(_, script)| script)
}

/// The rung of a record behind an event.
fn rung(info: &Value, record: u64, event: u64) -> String {
    let steps = info["ladder"].as_array().expect("a list");
    let mut its = steps.iter().rev();
    its.find(|step| step[1] == record && step[0].as_u64() <= Some(event))
        .map_or("", |step| step[2].as_str().unwrap_or_default())
        .to_owned()
}

/// The call that begins so, the last one.
fn call<'v>(info: &'v Value, name: &str) -> &'v Value {
    let mut calls = info["calls"].as_array().expect("a list").iter().rev();
    calls.find(|call| call["words"].as_str().is_some_and(|it| it.starts_with(name))).expect(name)
}

#[test]
fn every_script_runs_and_dies_at_every_event() {
    for (name, text) in SCRIPTS {
        let (mut desk, info, timeline) = run(&options(text), text);
        assert_eq!(info["ok"], true, "{name}: {info}");
        assert_eq!(info["unmet"], serde_json::json!([]), "{name}");
        let events = info["events"].as_u64().expect("a number");
        let lines = timeline.lines().filter(|line| line.starts_with("{\"i\":")).count();
        assert_eq!(lines as u64, events, "{name}");
        assert!(timeline.ends_with("}\n") && timeline.contains("{\"end\":"), "{name}");
        let step = events.div_ceil(80).max(1);
        for at in (0..=events).filter(|at| at % step == 0 || *at == events) {
            agrees(&mut desk, &info, at, name);
        }
    }
}

/// The ladder says what dying there says.
fn agrees(desk: &mut Desk, info: &Value, at: u64, name: &str) {
    let cut = ask(desk, &format!("die at={at} how=cut"));
    let crash = ask(desk, &format!("die at={at} how=crash"));
    let kill = ask(desk, &format!("die at={at} how=kill"));
    let records = cut["records"].as_array().expect("a list");
    let begun = info["ladder"].as_array().expect("a list").iter();
    let begun = begun.filter(|step| step[2] == "buffered" && step[0].as_u64() <= Some(at)).count();
    assert!(records.len() >= begun.min(1), "{name} at {at}");
    for (n, record) in records.iter().enumerate() {
        let rung = rung(info, n as u64, at);
        let lost = [&kill, &crash, &cut].map(|judged| judged["records"][n]["machine"] != "never");
        let expected = match rung.as_str() {
            "cached" => [false, true],
            "device" => [false, false],
            "durable" => {
                assert_eq!(lost, [false; 3], "{name} at {at}: record {n} is durable");
                [false, false]
            }
            // In a buffer, or gone: nothing but chance keeps it.
            _ => [true, lost[1]],
        };
        assert_eq!(lost[..2], expected, "{name} at {at}: record {n} is {rung}");
        assert_eq!(record["n"], n as u64);
    }
    for death in ["cut", "crash", "kill"] {
        for choice in ["first", "last", "3"] {
            let back = ask(desk, &format!("recover at={at} how={death} choice={choice}"));
            assert_eq!(back["records"].as_array().map(Vec::len), Some(records.len()), "{name}");
        }
    }
}

#[test]
fn a_record_is_durable_when_its_fsync_returns_and_not_before_its_flush() {
    let (mut desk, info, _) = run("", script("fsync"));
    let fsync = call(&info, "fsync");
    let [from, to] = ["from", "to"].map(|end| fsync[end].as_u64().expect("a number"));
    assert_eq!((rung(&info, 0, from), rung(&info, 0, to)), ("cached".into(), "durable".into()));
    assert_eq!(fsync["answer"], " = 0");
    let early = ask(&mut desk, &format!("die at={from} how=cut"));
    assert_eq!(early["records"][0]["model"], "sometimes");
    assert_eq!(early["acks"][0]["model"], "sometimes");
    let late = ask(&mut desk, &format!("die at={to} how=cut"));
    assert_eq!(late["records"][0]["model"], "never");
    assert_eq!(late["records"][0]["survives"], "log is \"record 1\"");
    let end = ask(&mut desk, &format!("die at={} how=cut", info["events"]));
    assert_eq!(end["acks"][1]["model"], "never");
    let posix = ask(&mut desk, &format!("die at={} how=cut model=posix", info["events"]));
    assert_eq!(posix["acks"][1]["model"], "sometimes", "the name was promised to nobody");
}

#[test]
fn what_is_in_a_buffer_dies_with_its_process() {
    let (mut desk, info, _) = run("", script("write_only"));
    assert_eq!(info["records"][0]["text"], "record 1");
    let ack = info["acks"][0]["event"].as_u64().expect("a number");
    for how in ["kill", "crash", "cut"] {
        let judged = ask(&mut desk, &format!("die at={ack} how={how}"));
        assert_eq!(judged["records"][0]["machine"], "always", "{how}");
        assert_eq!(judged["records"][0]["model"], "always", "{how}");
        assert_eq!(judged["acks"][0]["machine"], "always", "{how}");
    }
}

#[test]
fn a_rename_takes_a_record_down_until_the_directory_is_synced() {
    let (_, info, _) = run("", script("rename_with_directory"));
    let rename = call(&info, "rename")["to"].as_u64().expect("a number");
    let rungs = [rename - 3, rename, info["events"].as_u64().expect("a number")];
    let rungs = rungs.map(|event| rung(&info, 0, event));
    assert_eq!(rungs, ["durable", "cached", "durable"].map(str::to_owned));
}

#[test]
fn a_drive_that_lies_is_told_from_one_that_obeys() {
    let (mut desk, info, _) = run("drive=lies", script("lying_drive"));
    let ack = info["acks"][0]["event"].as_u64().expect("a number");
    assert_eq!(rung(&info, 0, ack), "device");
    let told = |desk: &mut Desk, how: &str| {
        let judged = ask(desk, &format!("die at={ack} how={how}"));
        [judged["acks"][0]["machine"].clone(), judged["acks"][0]["model"].clone()]
    };
    assert_eq!(told(&mut desk, "crash"), ["never", "never"]);
    assert_eq!(told(&mut desk, "cut")[1], "sometimes");
}

#[test]
fn a_log_is_whole_behind_its_sync_and_torn_before() {
    let (mut desk, info, _) = run("", script("wal_commit"));
    let ack = info["acks"][0]["event"].as_u64().expect("a number");
    assert_eq!(info["acks"][0]["records"], serde_json::json!([0, 1, 2]));
    let back = ask(&mut desk, &format!("recover at={ack} how=cut choice=first"));
    let log = &back["logs"][0];
    assert_eq!((&log["path"], &log["torn"]), (&"wal".into(), &false.into()));
    assert_eq!(log["transactions"][0]["committed"], true);
    assert_eq!(log["transactions"][0]["records"], serde_json::json!(["alice -5;", "bob +5;"]));
    assert_eq!(back["acks"][0]["kept"], true);
    let second = info["calls"][1]["to"].as_u64().expect("a number");
    let back = ask(&mut desk, &format!("recover at={second} how=kill choice=first"));
    assert_eq!(back["logs"][0]["torn"], true, "no COMMIT is there: {back}");
}

#[test]
fn a_journal_is_replayed_and_what_is_not_whole_is_not() {
    let (mut desk, info, _) = run("", script("rename_with_directory"));
    let (mut whole, mut torn) = (false, false);
    for at in 0..=info["events"].as_u64().expect("a number") {
        let back = ask(&mut desk, &format!("recover at={at} how=cut choice=last"));
        for transaction in back["journal"].as_array().expect("a list") {
            whole |= transaction["whole"] == true;
            torn |= transaction["whole"] == false;
        }
        assert_eq!(
            back["steps"].as_array().and_then(|it| it.last()).map(|it| &it["kind"]),
            Some(&"Mounted".into())
        );
    }
    assert!(whole && torn);
}

#[test]
fn a_file_system_without_a_machine_has_calls_and_verdicts() {
    for fs in ["xfs", "btrfs", "posix"] {
        let (mut desk, info, timeline) = run(&format!("fs={fs}"), script("fsync"));
        assert_eq!((&info["level"], &info["model"]), (&"operations".into(), &fs.into()));
        assert!(!timeline.contains("\"d\":"), "nothing moves in layers");
        let fsync = call(&info, "fsync")["to"].as_u64().expect("a number");
        let expected = if fs == "posix" { "cached" } else { "durable" };
        assert_eq!(rung(&info, 0, fsync), expected, "{fs}");
        let judged = ask(&mut desk, &format!("die at={fsync} how=cut"));
        let lost = if fs == "posix" { "sometimes" } else { "never" };
        assert_eq!(judged["records"][0]["model"], lost, "{fs}");
        ask(&mut desk, &format!("recover at={fsync} how=cut choice=last"));
    }
    let (mut desk, info, _) = run("fs=tmpfs", script("ram_disk"));
    assert_eq!((&info["level"], &info["model"]), (&"machine".into(), &"".into()));
    let judged = ask(&mut desk, &format!("die at={} how=cut", info["events"]));
    assert_eq!(
        (&judged["acks"][0]["machine"], &judged["acks"][0]["model"]),
        (&"always".into(), &Value::Null)
    );
}

#[test]
fn whatever_is_asked_is_answered() {
    let deep = "repeat 1000000 { ".repeat(8);
    let long = "x".repeat(10 << 20);
    let requests: Vec<Vec<u8>> = [
        "",
        "\n",
        "run",
        "die",
        "die at=3",
        "jump at=1",
        "run fs=zfs\n",
        "run seed=-1\n",
        "run x\n",
        "run limit=0\nwait 24h",
        "run\n}{",
        "run\ncut; write f \"A\"",
        "die at=99999999999",
        "run\nsetlen f 1073741824",
        "run\nrepeat 1000000 { write f \"A\"*1Mi }",
        "run\nrepeat 50000 { wait 24h }",
        "run\nrepeat 3000 { write f \"A\"; flush f; fsync f }",
        "run\ndurable { a = zeros 64Mi; b = zeros 64Mi }",
        "run fs=xfs\nrepeat 2000 { write f \"A\"; flush f; ack \"A\" }",
    ]
    .into_iter()
    .map(|request| request.as_bytes().to_vec())
    .chain([format!("run\n{deep}"), format!("run\n{long}"), format!("{long}=1\n")].map(Into::into))
    .chain([b"run\nwrite f \"\xff".to_vec(), vec![0xFF; 64]])
    .collect();
    let mut desk = Desk::default();
    for request in requests {
        let shown = String::from_utf8_lossy(&request).chars().take(60).collect::<String>();
        let answer = desk.ask(&request);
        let first = answer.lines().next().unwrap_or_default();
        let value: Value = serde_json::from_str(first).expect(&shown);
        assert!(value["ok"].is_boolean(), "{shown}");
        if value["ok"] == false {
            let place = [&value["line"], &value["column"]].map(|it| it.as_u64().unwrap_or(0));
            assert!(place[0] > 0 && place[1] > 0, "{shown}: {value}");
            assert!(!value["what"].as_str().unwrap_or_default().is_empty(), "{shown}");
            assert!(first.len() < 2000, "{shown}");
        }
        // Whatever was refused, the desk goes on.
        assert!(!desk.ask(b"die at=0 how=cut").is_empty(), "{shown}");
    }
}

#[test]
fn an_error_is_told_at_its_place_in_the_script() {
    let (_, told, _) = run("", "open f\nfrobnicate f");
    assert_eq!(
        (&told["ok"], &told["line"], &told["column"]),
        (&false.into(), &2.into(), &1.into())
    );
    let (_, told, _) = run("", "open f create\ncut; write f \"A\"");
    assert_eq!((&told["ok"], &told["line"]), (&false.into(), &2.into()), "{told}");
}

#[test]
fn a_bound_is_said_where_it_is_met() {
    let (mut desk, info, timeline) = run("limit=50", script("batch_of_100"));
    let events = info["events"].as_u64().expect("a number");
    assert!((50..60).contains(&events) && timeline.contains(&format!("{{\"end\":{events}")));
    assert!(info["notes"].to_string().contains("it is longer"), "{info}");
    ask(&mut desk, &format!("die at={events} how=cut"));
    let (_, info, _) = run("", script("batch_of_100"));
    assert_eq!(info["records"].as_array().map(Vec::len), Some(64));
    assert!(info["notes"].to_string().contains("136 writes more"), "{info}");
}
