// Lessons about names: a new file, a replaced one, and what fdatasync leaves out.

import {
  answer, before, called, cells, commits, committed, count, file, flushes, type Lesson, LOST, lost, mayBe, order, returned, rung, said, START, time, writes, YES_NO,
} from "./lesson.ts";

export const newFile: Lesson = {
  id: "new-file",
  title: "A new file and its directory",
  question: "fsync of a new file has returned. Is the file there after a cut?",
  script: `durable { mkdir data }
open data/log create
write data/log "record 1"
flush data/log
fsync data/log
ack "record 1 is stored"
`,
  steps: [
    {
      text: "A new file is two things: its bytes, and its name in a directory. The name stands in the transaction that is running, and nowhere else.",
      when: returned("openat"),
      look: 4,
      claims: [
        { ask: cells("jbd", "running"), is: 1 },
        { ask: file("data/log", "machine"), is: "absent" },
        { ask: file("data/log", "machine", "crash"), is: "absent" },
      ],
    },
    {
      text: "The bytes are in the page cache. `fsync` of the file is about to be called; what was changed in memory are the page, the file's inode and the directory.",
      when: called("fsync"),
      look: 3,
      claims: [
        { ask: cells("page", "D"), is: 1 },
        { ask: rung(1), is: "cached" },
      ],
    },
    {
      text: "ext4 has one transaction for all that runs. The commit that the file needs brings the new name along, and on this machine the record is durable.",
      when: committed(),
      look: 4,
      claims: [
        { ask: count("TxnState", "to Finished"), is: 1 },
        { ask: rung(1), is: "durable" },
        { ask: lost({ record: 1 }, "cut", "machine"), is: "never" },
      ],
    },
    {
      text: "`fsync` has returned, and the program speaks. xfs and btrfs, too, bring the name of a new file.",
      when: said("record 1 is stored"),
      look: 6,
      figures: { may: file("data/log", "posix") },
      claims: [
        { ask: lost({ ack: "record 1 is stored" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "record 1 is stored" }, "cut", "xfs"), is: "never" },
        { ask: lost({ ack: "record 1 is stored" }, "cut", "btrfs"), is: "never" },
      ],
      predict: {
        question: "The model posix is the weakest world that a careful program defends against. May a cut take the record there?",
        ask: lost({ ack: "record 1 is stored" }, "cut", "posix"),
        options: LOST,
        show: { die: "cut", by: "posix" },
        then: "`data/log` may be {may}. The bytes are on the disk; the name that leads to them need not be. For the name one asks the directory.",
      },
    },
    {
      text: "The same with `fsync` of the directory. On this machine nothing is left for it to do: it sent {writes} writes and {flushes} FLUSHes.",
      when: returned("fsync", 2),
      look: 4,
      run: {
        script: `durable { mkdir data }
open data/log create
write data/log "record 1"
flush data/log
fsync data/log
fsyncdir data
ack "record 1 is stored"
`,
      },
      figures: {
        writes: writes(called("fsync", 2), returned("fsync", 2)),
        flushes: flushes(called("fsync", 2), returned("fsync", 2)),
      },
      claims: [
        { ask: count("Dispatched", "", called("fsync", 2), returned("fsync", 2)), is: 0 },
        { ask: answer("fsync", 2), is: "0" },
        { when: said("record 1 is stored"), ask: lost({ ack: "record 1 is stored" }, "cut", "posix"), is: "never" },
        { when: said("record 1 is stored"), ask: lost({ ack: "record 1 is stored" }, "cut", "ext4"), is: "never" },
      ],
    },
    {
      text: "The other way round the directory is not enough. Its `fsync` commits the name; the bytes are in the page cache still, and a cut leaves an empty file on this machine, {here}.",
      when: said("record 1 is stored"),
      look: 3,
      run: {
        script: `durable { mkdir data }
open data/log create
write data/log "record 1"
flush data/log
fsyncdir data
ack "record 1 is stored"
`,
      },
      figures: { here: file("data/log", "machine") },
      claims: [
        { ask: file("data/log", "machine"), is: '""' },
        { ask: cells("page", "D"), is: 1 },
        { ask: lost({ ack: "record 1 is stored" }, "cut", "ext4"), is: "sometimes" },
      ],
    },
  ],
};

const SYNCED_FIRST = `durable { config = "v1" }
open config.new create
write config.new "v2"
flush config.new
fsync config.new
rename config.new config
ack "v2 is set"
`;

export const rename: Lesson = {
  id: "rename",
  title: "Replace by rename",
  question: "A new version is written to another file and renamed over the old one. What may a cut leave?",
  script: `durable { config = "v1" }
open config.new create
write config.new "v2"
flush config.new
rename config.new config
ack "v2 is set"
fsyncdir .
ack "the directory is synced"
`,
  steps: [
    {
      text: "`config` is on the disk and holds v1. The new version is in the page cache, in a file named `config.new`.",
      when: returned("write"),
      look: 3,
      claims: [
        { ask: file("config", "machine"), is: '"v1"' },
        { ask: cells("page", "D"), is: 1 },
      ],
    },
    {
      text: "For running programs a rename is one step. ext4 sees that a file is replaced and starts to write the new one back at once, but waits for nothing: the page is in flight.",
      when: returned("rename"),
      look: 3,
      claims: [
        { ask: cells("page", "W"), is: 1 },
        { ask: count("WbStart"), is: 1 },
        { ask: cells("jbd", "running"), is: 1 },
        { ask: file("config", "machine"), is: '"v1"' },
      ],
    },
    {
      text: "No sync was asked for, and the program says that v2 is set.",
      when: said("v2 is set"),
      look: 4,
      figures: { may: file("config", "ext4") },
      claims: [
        { ask: lost({ ack: "v2 is set" }, "cut", "ext4"), is: "sometimes" },
        { ask: lost({ ack: "v2 is set" }, "cut", "machine"), is: "always" },
      ],
      predict: {
        question: "May ext4 leave a `config` that is neither v1 nor v2, but two zeros?",
        ask: mayBe("config", "zeros 2", "ext4"),
        options: YES_NO,
        show: { die: "cut", by: "ext4" },
        then: "It may be {may}. The name and the length can be there before the bytes.",
      },
    },
    {
      text: "Here it happens. The sync of the directory commits name and length. The block that they lead to is marked as never written until a later transaction, so `config` reads as {here}.",
      when: said("the directory is synced"),
      look: 4,
      figures: { here: file("config", "machine") },
      claims: [
        { ask: file("config", "machine"), is: "zeros 2" },
        { ask: answer("fsync"), is: "0" },
        { ask: lost({ ack: "v2 is set" }, "cut", "machine"), is: "always" },
        { ask: cells("jbd", "running"), is: 1 },
        { ask: mayBe("config", '"v1"', "ext4"), is: "no" },
      ],
    },
    {
      text: "So the new file is synced before the rename. Its bytes are on stable media when the name is changed.",
      when: called("rename"),
      look: 6,
      run: { script: SYNCED_FIRST },
      claims: [
        { ask: rung(1), is: "durable" },
        { ask: cells("page", "C"), is: 1 },
      ],
    },
    {
      text: "Whatever a cut leaves now is whole: {may}. Which of the two is open, since the rename itself is in memory.",
      when: said("v2 is set"),
      look: 4,
      run: { script: SYNCED_FIRST },
      figures: { may: file("config", "ext4") },
      claims: [
        { ask: mayBe("config", "zeros 2", "ext4"), is: "no" },
        { ask: mayBe("config", '"v1"', "ext4"), is: "yes" },
        { ask: mayBe("config", '"v2"', "ext4"), is: "yes" },
        { ask: cells("jbd", "running"), is: 1 },
      ],
      predict: {
        question: "The program says that v2 is set. Does a cut take that back, on ext4?",
        ask: lost({ ack: "v2 is set" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "`config` may be v1 again. Nothing is damaged, but the acknowledgement came too early.",
      },
    },
    {
      text: "The whole recipe: sync the new file, rename it, sync the directory, then speak. It cost {flushes} FLUSHes, {commits} commits and {took}.",
      when: said("v2 is set"),
      look: 6,
      run: { script: SYNCED_FIRST.replace("ack", "fsyncdir .\nack") },
      figures: {
        flushes: flushes(START, said("v2 is set")),
        commits: commits(START, said("v2 is set")),
        took: time(called("openat"), said("v2 is set")),
      },
      claims: [
        { ask: file("config", "ext4"), is: '"v2"' },
        { ask: lost({ ack: "v2 is set" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "v2 is set" }, "cut", "posix"), is: "never" },
        { ask: lost({ ack: "v2 is set" }, "cut", "btrfs"), is: "never" },
      ],
    },
  ],
};

export const fdatasyncNames: Lesson = {
  id: "fdatasync-names",
  title: "fdatasync and a new name",
  question: "A file was renamed, then fdatasync was called on it. Is the new name durable?",
  script: `durable { f = "A" }
rename f g
fdatasync g
ack "g is stored" g
`,
  steps: [
    {
      text: "The bytes of the file have long been on the disk. Its new name, `g`, is in the running transaction.",
      when: returned("rename"),
      look: 4,
      claims: [
        { ask: cells("jbd", "running"), is: 1 },
        { ask: file("g", "machine"), is: "absent" },
        { ask: file("f", "machine"), is: '"A"' },
      ],
    },
    {
      text: "`fdatasync` answered {answer}, after {flushes} FLUSH and {commits} commits. On ext4 it waits for the creation of the file or its last length. A rename is neither.",
      when: returned("fdatasync"),
      look: 4,
      figures: {
        answer: answer("fdatasync"),
        flushes: flushes(called("fdatasync"), returned("fdatasync")),
        commits: commits(called("fdatasync"), returned("fdatasync")),
      },
      claims: [
        { ask: answer("fdatasync"), is: "0" },
        { ask: commits(called("fdatasync"), returned("fdatasync")), is: 0 },
        { ask: cells("jbd", "running"), is: 1 },
      ],
    },
    {
      text: "The program says that `g` is stored.",
      when: said("g is stored"),
      look: 4,
      figures: { here: file("f", "machine") },
      claims: [
        { ask: lost({ ack: "g is stored" }, "cut", "machine"), is: "always" },
        { ask: file("g", "machine"), is: "absent" },
      ],
      predict: {
        question: "The power is cut. Is `g` lost, on ext4?",
        ask: lost({ ack: "g is stored" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "On this machine the file is there under its old name: `f` is {here}, and `g` is absent.",
      },
    },
    {
      text: "With `fsync` in its place the journal commits, and `g` is there on ext4, xfs and btrfs. The model posix asks for the directory here too.",
      when: said("g is stored"),
      look: 4,
      run: {
        script: `durable { f = "A" }
rename f g
fsync g
ack "g is stored" g
`,
      },
      claims: [
        { ask: commits(called("fsync"), returned("fsync")), is: 1 },
        { ask: lost({ ack: "g is stored" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "g is stored" }, "cut", "xfs"), is: "never" },
        { ask: lost({ ack: "g is stored" }, "cut", "btrfs"), is: "never" },
        { ask: lost({ ack: "g is stored" }, "cut", "posix"), is: "sometimes" },
        { ask: order(before(returned("fsync")), said("g is stored")), is: "yes" },
      ],
    },
  ],
};
