// The questions of Check yourself.

import { driveCache } from "./drive.ts";
import { ramDisk } from "./elsewhere.ts";
import { failedFsync, tornPages, WHOLE } from "./failures.ts";
import { flush, fsyncWithoutFlush } from "./flushes.ts";
import {
  called, cells, commits, count, event, example, file, LOST, lost, mayBe, other, returned, rung, said, START, YES_NO,
} from "./lesson.ts";
import { fdatasyncNames, newFile, rename } from "./names.ts";
import { logFirst } from "./order.ts";
import type { Question } from "./question.ts";
import { waiting } from "./waits.ts";

const IS_SAFE = [
  { text: "Safe: a cut never takes it", is: ["never"] },
  { text: "Not safe: a cut sometimes takes it", is: ["sometimes"] },
  { text: "Lost: a cut always takes it", is: ["always"] },
];

const EIGHT = Array.from({ length: 8 }, (_, at) => at);
const eight = (each: (at: number) => string, first = "durable { wal = zeros 16Ki }\n", last = "") =>
  first + EIGHT.map(each).join("") + last;
const record = (at: number) => `pwrite wal "record ${at + 1}" @${at * 8}\n`;
const told = (at: number) => `ack "record ${at + 1}" wal\n`;

const FOUR = [0, 1, 2, 3];
const appends = (sync: string) =>
  `durable { log = "" }\nopen log append\n${FOUR.map((at) => `write log "record ${at + 1}"; flush log; ${sync} log; ack "record ${at + 1}"\n`).join("")}`;
const overwrites = (first: string) =>
  `${first}\n${FOUR.map((at) => `pwrite log "record ${at + 1}" @${at * 8}; fdatasync log; ack "record ${at + 1}"\n`).join("")}`;

const TEMP = `durable { config = "v1" }
open config.new create; write config.new "v2"; flush config.new
`;

export const QUESTIONS: readonly Question[] = [
  {
    kind: "single",
    id: "write-succeeded",
    question: "`write()` returned success, and the power dropped before any `fsync`. Is the record safe, on ext4?",
    lesson: "flush",
    script: flush.script,
    when: returned("write"),
    ask: lost({ record: 1 }, "cut", "ext4"),
    options: IS_SAFE,
    show: { die: "cut", by: "ext4" },
    figures: { may: file("log", "ext4") },
    then: "The bytes are in the page cache, and a cut may leave {may}. That `write` succeeded says that the kernel has them.",
    claims: [{ ask: rung(1), is: "cached" }],
  },
  {
    kind: "single",
    id: "killed-after-flush",
    question: "A program flushed a record and is killed before any `fsync`. Is the record lost?",
    lesson: "flush",
    script: flush.script,
    when: said("record 1 is flushed"),
    ask: lost({ ack: "record 1 is flushed" }, "kill", "ext4"),
    options: LOST,
    show: { die: "kill", by: "ext4" },
    then: "A kill takes what the process holds itself. The page cache is the kernel's, and stays.",
    claims: [{ ask: rung(1), is: "cached" }],
  },
  {
    kind: "ways",
    id: "sync-each-is-slow",
    question: "An `fsync` after every record is terribly slow. What is the standard fix?",
    lesson: "group-commit",
    ways: [
      { text: "None: sync after every record", script: eight((at) => `${record(at)}fdatasync wal\n${told(at)}`) },
      { text: "Group commit: one sync for all who wait, then tell them", script: eight(record, undefined, `fdatasync wal\n${EIGHT.map(told).join("")}`) },
      { text: "Tell each at once, and sync every eighth time", script: eight((at) => record(at) + told(at), undefined, "fdatasync wal\n") },
      { text: "Close the file after each record instead", script: eight((at) => `open wal\n${record(at)}close wal\n${told(at)}`) },
    ],
    then: "Group commit keeps the promise and shares its price. Who tells at once pays as little, and promises what a cut takes back.",
  },
  {
    kind: "single",
    id: "fsync-without-flush",
    question: "A buffered program calls `fsync` without `flush`, and it returns 0. A cut follows. Is the record lost?",
    lesson: "fsync-without-flush",
    script: fsyncWithoutFlush.script,
    when: said("record 1 is stored"),
    ask: lost({ ack: "record 1 is stored" }, "cut", "ext4"),
    options: LOST,
    show: { die: "cut", by: "ext4" },
    figures: { may: file("log", "ext4") },
    then: "`log` is {may}. The record is in the buffer of the process, and `fsync` syncs what the kernel has.",
    claims: [{ ask: rung(1), is: "buffered" }],
  },
  {
    kind: "single",
    id: "waited-long",
    question: "Nobody synced, but the write is 46 seconds old. Does ext4 promise that it is on the disk?",
    lesson: "waiting",
    script: waiting.script,
    when: said("much later"),
    ask: lost({ ack: "record 1 is flushed" }, "cut", "ext4"),
    options: IS_SAFE,
    show: { die: "cut", by: "ext4" },
    then: "This machine had written it down by then. The model of ext4 knows no time: a flusher may be late, and nothing was promised.",
    claims: [{ ask: lost({ record: 1 }, "cut", "machine"), is: "never" }],
  },
  {
    kind: "single",
    id: "new-name",
    question: "`fsync` of a new file returned. Its directory was not synced. May the file be missing, under the model posix?",
    lesson: "new-file",
    script: newFile.script,
    when: said("record 1 is stored"),
    ask: mayBe("data/log", "absent", "posix"),
    options: YES_NO,
    show: { die: "cut", by: "posix" },
    figures: { may: file("data/log", "posix") },
    then: "There it may be {may}. ext4, xfs and btrfs bring the name of a new file along with its `fsync`.",
    claims: [{ ask: lost({ ack: "record 1 is stored" }, "cut", "ext4"), is: "never" }],
  },
  {
    kind: "ways",
    id: "replace-a-file",
    question: "A configuration file is to be replaced. A cut at any time must leave the old one or the new one, and once it is acknowledged, the new one. Which way does that?",
    lesson: "rename",
    whole: { path: "config", is: ['"v1"', '"v2"'] },
    ways: [
      { text: "Empty it, write it, fsync", script: `durable { config = "v1" }\nsetlen config 0\npwrite config "v2" @0\nfsync config\nack "v2 is set"\n` },
      { text: "Write a new file, rename it over the old one", script: `${TEMP}rename config.new config\nack "v2 is set"\n` },
      { text: "Write a new file, fsync it, rename it", script: `${TEMP}fsync config.new\nrename config.new config\nack "v2 is set"\n` },
      { text: "Write a new file, fsync it, rename it, fsync the directory", script: `${TEMP}fsync config.new\nrename config.new config\nfsyncdir .\nack "v2 is set"\n` },
    ],
    then: "Each step has a reason: the first sync keeps it whole, the second makes it last.",
  },
  {
    kind: "single",
    id: "rename-zeros",
    question: "A new file was renamed over the old one, and nobody synced it. May ext4 leave it with its full length, and zeros in it?",
    lesson: "rename",
    script: rename.script,
    when: said("v2 is set"),
    ask: mayBe("config", "zeros 2", "ext4"),
    options: YES_NO,
    show: { die: "cut", by: "ext4" },
    figures: { may: file("config", "ext4") },
    then: "It may be {may}. A rename is atomic, and orders no data.",
    claims: [{ ask: cells("page", "W"), is: 1 }],
  },
  {
    kind: "single",
    id: "renamed-fdatasync",
    question: "`rename f g`, then `fdatasync g` returned 0. Is the name `g` durable, on ext4?",
    lesson: "fdatasync-names",
    script: fdatasyncNames.script,
    when: said("g is stored"),
    ask: lost({ ack: "g is stored" }, "cut", "ext4"),
    options: IS_SAFE,
    show: { die: "cut", by: "ext4" },
    figures: { here: file("g", "machine") },
    then: "On this machine `g` is {here}. On ext4 `fdatasync` waits for the last length of a file or its creation, not for its last name.",
    claims: [{ ask: lost({ ack: "g is stored" }, "cut", "machine"), is: "always" }],
  },
  {
    kind: "ways",
    id: "cheap-sync",
    question: "Four records are stored one by one, each acknowledged when it is durable. Which log file makes that cheapest?",
    lesson: "fdatasync",
    ways: [
      { text: "An empty file, append and `fsync`", script: appends("fsync") },
      { text: "An empty file, append and `fdatasync`", script: appends("fdatasync") },
      { text: "A file with its space allocated, overwrite and `fdatasync`", script: overwrites(`durable { log = "" }\nallocate log 16384; fsync log`) },
      { text: "A file filled with zeros, overwrite and `fdatasync`", script: overwrites("durable { log = zeros 16Ki }") },
    ],
    then: "Where neither length nor extent changes, the journal has nothing to commit.",
  },
  {
    kind: "single",
    id: "failed-fsync",
    question: "`fsync` failed with EIO. The program called it again, and it returned 0. Is the page safe, on ext4?",
    lesson: "failed-fsync",
    script: failedFsync.script,
    when: said("new is stored"),
    ask: lost({ ack: "new is stored" }, "cut", "ext4"),
    options: IS_SAFE,
    show: { die: "cut", by: "ext4" },
    figures: { here: file("page", "machine") },
    then: "On this machine the page is {here}. The failed page counts as clean, and the second call wrote nothing.",
    claims: [
      { ask: cells("page", "E"), is: 1 },
      { ask: count("WbStart", "", called("fsync", 2), returned("fsync", 2)), is: 0 },
    ],
  },
  {
    kind: "single",
    id: "capacitors",
    question: "The drive has capacitors. The record is written and flushed, and no sync was called. Does a cut take it, on this machine?",
    lesson: "drive-cache",
    script: driveCache.script,
    knobs: { drive: "capacitor" },
    when: returned("pwrite64"),
    ask: lost({ record: 1 }, "cut", "machine"),
    options: LOST,
    show: { die: "cut", by: "ext4" },
    then: "The capacitors keep what the drive was given. It was given nothing: the page is in the page cache.",
    claims: [{ ask: cells("lba"), is: 0 }],
  },
  {
    kind: "single",
    id: "torn",
    question: "One page of 4 KiB is overwritten with one call. May a cut leave half of it, on ext4?",
    lesson: "torn-pages",
    script: tornPages.script,
    when: event("Dispatched", "write"),
    ask: other("page", WHOLE, "ext4"),
    options: YES_NO,
    show: { die: "cut", by: "ext4" },
    figures: { torn: example("page", WHOLE, "ext4") },
    then: "It may be {torn}. All that stores count on, though nobody promises it, is that a sector of 512 bytes stays whole.",
    claims: [{ ask: other("page", WHOLE, "ext4:journal"), is: "no" }],
  },
  {
    kind: "single",
    id: "order-of-writes",
    question: "The log was written before the page, without a sync between. May the new page be there and the log's record not, on ext4?",
    lesson: "log-first",
    script: logFirst.script,
    when: said("the log knows"),
    ask: mayBe("log", "zeros 4096", "ext4"),
    options: YES_NO,
    show: { die: "cut", by: "ext4" },
    figures: { log: file("log", "ext4") },
    then: "The log may be {log}. The page may be old, new or torn, and neither waits for the other.",
    claims: [{ ask: mayBe("page", '"b"*4096', "ext4"), is: "yes" }],
  },
  {
    kind: "single",
    id: "ram-disk",
    question: "On a tmpfs `fsync` returned 0. Does a power cut take the record?",
    lesson: "ram-disk",
    script: ramDisk.script,
    knobs: { fs: "tmpfs" },
    when: said("record 1 is stored"),
    ask: lost({ ack: "record 1 is stored" }, "cut", "machine"),
    options: LOST,
    show: { die: "cut", by: "" },
    then: "There is nothing below the page cache there, and a sync has nothing to do.",
    claims: [{ ask: count("Dispatched"), is: 0 }],
  },
  {
    kind: "single",
    id: "commits-of-fdatasync",
    question: "A record overwrites zeros in a segment that was written before. How many commits of the journal does its `fdatasync` wait for?",
    lesson: "fdatasync",
    script: `durable { segment = zeros 64Ki }
pwrite segment "record 1" @0
fdatasync segment
ack "record 1 is stored"
`,
    when: called("fdatasync"),
    ask: commits(called("fdatasync"), returned("fdatasync")),
    options: [
      { text: "None", is: [0] },
      { text: "One", is: [1] },
      { text: "Two", is: [2] },
    ],
    show: { go: returned("fdatasync") },
    figures: { writes: count("Dispatched", ": write", START, returned("fdatasync")) },
    then: "It sent {writes} write and a FLUSH. Nothing in the metadata is needed to read the record.",
    claims: [{ when: said("record 1 is stored"), ask: lost({ ack: "record 1 is stored" }, "cut", "posix"), is: "never" }],
  },
];
