// Lessons about files that are on no disk of this machine: in memory, and on a server.

import {
  answer, called, cells, count, event, file, type Lesson, LOST, lost, returned, rung, said, time,
} from "./lesson.ts";

export const ramDisk: Lesson = {
  id: "ram-disk",
  title: "A RAM disk",
  question: "On a tmpfs every fsync answers 0, at once. What has it done?",
  script: `open log create
write log "record 1"
flush log
fsync log
fsyncdir .
ack "record 1 is stored"
`,
  knobs: { fs: "tmpfs" },
  steps: [
    {
      text: "The record is in the page cache, as on every file system. Here this is the only place that there is.",
      when: returned("write"),
      look: 3,
      claims: [
        { ask: cells("page", "D"), is: 1 },
        { ask: rung(1), is: "cached" },
      ],
    },
    {
      text: "`fsync` answered {answer} after {took}. No page was written back, no request was made, and no FLUSH.",
      when: returned("fsync"),
      look: 3,
      figures: { answer: answer("fsync"), took: time(called("fsync"), returned("fsync")) },
      claims: [
        { ask: answer("fsync"), is: "0" },
        { ask: count("WbStart"), is: 0 },
        { ask: count("Dispatched"), is: 0 },
        { ask: count("FlushStart"), is: 0 },
        { ask: rung(1), is: "cached" },
      ],
    },
    {
      text: "Each call succeeded, and the program says that the record is stored.",
      when: said("record 1 is stored"),
      look: 3,
      figures: { may: file("log", "machine") },
      claims: [
        { ask: lost({ ack: "record 1 is stored" }, "kill", "machine"), is: "never" },
        { ask: lost({ ack: "record 1 is stored" }, "crash", "machine"), is: "always" },
      ],
      predict: {
        question: "The power is cut. Is the record lost?",
        ask: lost({ ack: "record 1 is stored" }, "cut", "machine"),
        options: LOST,
        show: { die: "cut", by: "" },
        then: "`log` is {may}. A kill of the process leaves it, a crash of the kernel does not.",
      },
    },
    {
      text: "The same program on ext4: `fsync` took {took}, and the record outlives the cut. Whether a sync means anything is decided by what the file is on.",
      when: said("record 1 is stored"),
      look: 6,
      run: { knobs: { fs: "ext4" } },
      figures: { took: time(called("fsync"), returned("fsync")) },
      claims: [
        { ask: rung(1), is: "durable" },
        { ask: lost({ ack: "record 1 is stored" }, "cut", "ext4"), is: "never" },
      ],
    },
  ],
};

export const network: Lesson = {
  id: "network",
  title: "A network file system",
  question: "The page cache is here, the disk is there. Which calls wait for the disk?",
  script: `open log create
write log "record 1"
flush log
ack "record 1 is flushed"
close log
ack "record 1 is in a closed file"
`,
  knobs: { fs: "nfs" },
  steps: [
    {
      text: "The new name was asked of the server, and `open` came back when the server had it on its disk, {took} later. Names are synchronous here.",
      when: returned("openat"),
      look: 4,
      figures: { took: time(called("openat"), returned("openat")) },
      claims: [
        { ask: count("Asked", "Name"), is: 1 },
        { ask: count("Answered", "Name"), is: 1 },
        { ask: file("log", "machine"), is: '""' },
      ],
    },
    {
      text: "The bytes are in the page cache of this machine, and the server was not asked about them. A crash of this machine takes them, and a cut.",
      when: said("record 1 is flushed"),
      look: 3,
      figures: { may: file("log", "machine") },
      claims: [
        { ask: cells("page", "D"), is: 1 },
        { ask: count("Asked", "Write"), is: 0 },
        { ask: lost({ ack: "record 1 is flushed" }, "crash", "machine"), is: "always" },
        { ask: lost({ ack: "record 1 is flushed" }, "kill", "machine"), is: "never" },
      ],
      predict: {
        question: "The power is cut, here and at the server. Is the record lost?",
        ask: lost({ ack: "record 1 is flushed" }, "cut", "machine"),
        options: LOST,
        show: { die: "cut", by: "" },
        then: "`log` is {may}: the name is with the server, and the bytes never were.",
      },
    },
    {
      text: "`close` does more than on a local file system. It sends the page, and the server has taken it: in its own page cache, not on its disk.",
      when: event("Answered", "Write"),
      look: 4,
      claims: [
        { ask: count("Asked", "Write"), is: 1 },
        { ask: count("Answered", "Commit"), is: 0 },
        { ask: lost({ record: 1 }, "crash", "machine"), is: "never" },
        { ask: lost({ record: 1 }, "cut", "machine"), is: "always" },
      ],
    },
    {
      text: "Then it asks the server to commit, which is an `fsync` there. The answer came {took} later, and only then does `close` return.",
      when: returned("close"),
      look: 4,
      figures: { took: time(event("Asked", "Commit"), event("Answered", "Commit")) },
      claims: [
        { ask: answer("close"), is: "0" },
        { ask: count("Answered", "Commit"), is: 1 },
        { ask: cells("page", "C"), is: 1 },
        { ask: rung(1), is: "durable" },
      ],
    },
    {
      text: "The file is closed, and the program says so.",
      when: said("record 1 is in a closed file"),
      look: 4,
      figures: { may: file("log", "machine") },
      claims: [{ ask: lost({ ack: "record 1 is in a closed file" }, "crash", "machine"), is: "never" }],
      predict: {
        question: "The power is cut, here and at the server. Is the record lost?",
        ask: lost({ ack: "record 1 is in a closed file" }, "cut", "machine"),
        options: LOST,
        show: { die: "cut", by: "" },
        then: "`log` is {may}. Here a close has committed. A program that relies on it may lose its records when it is moved to a local disk.",
      },
    },
    {
      text: "The same program on ext4: `close` took {took} and asked nobody.",
      when: said("record 1 is in a closed file"),
      look: 3,
      run: { knobs: { fs: "ext4" } },
      figures: { took: time(called("close"), returned("close")) },
      claims: [
        { ask: count("Dispatched"), is: 0 },
        { ask: lost({ ack: "record 1 is in a closed file" }, "cut", "ext4"), is: "sometimes" },
        { ask: lost({ ack: "record 1 is in a closed file" }, "cut", "machine"), is: "always" },
      ],
    },
  ],
};
