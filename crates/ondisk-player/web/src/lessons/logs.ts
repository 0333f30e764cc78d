// Lessons about a program's own log: its commit, and its batches.

import {
  called, cells, count, END, event, file, flushes, type Lesson, LOST, lost, returned, rung, said, START, time,
} from "./lesson.ts";

export const walCommit: Lesson = {
  id: "wal-commit",
  title: "A write-ahead log's commit",
  question: "Five are moved from alice to bob: two records that must not come apart. How?",
  script: `durable { wal = zeros 4096; accounts = "alice 10 bob 0" }
pwrite wal "alice -5;" @0
pwrite wal "bob +5;" @9
pwrite wal "COMMIT" @16
fdatasync wal
ack "5 from alice to bob" wal
# the page of the accounts is written later
pwrite accounts "alice 5  bob 5" @0
`,
  steps: [
    {
      text: "The log has two records and a COMMIT marker behind them. All three are in the page cache, and the accounts have not been touched.",
      when: returned("pwrite64", 3),
      look: 3,
      claims: [
        { ask: rung(1), is: "cached" },
        { ask: rung(3), is: "cached" },
        { ask: cells("page", "D"), is: 1 },
        { ask: file("accounts", "machine"), is: '"alice 10 bob 0"' },
      ],
    },
    {
      text: "A cut at this moment leaves no transaction in the log on this machine. Recovery finds {applied} to apply, and the accounts are as before. Nobody was told anything else.",
      when: called("fdatasync"),
      look: 6,
      figures: { applied: { ask: "applied", path: "wal", how: "cut", choice: "first" } },
      claims: [
        { ask: { ask: "applied", path: "wal", how: "cut", choice: "first" }, is: 0 },
        { ask: { ask: "found", path: "accounts", how: "cut", choice: "first" }, is: '"alice 10 bob 0"' },
        { ask: count("Ack"), is: 0 },
      ],
    },
    {
      text: "One sync for all of it. While the FLUSH is under way it is open whether the log's block is on stable media. Recovery decides by the marker. Here one sector holds all three; a log that spans more puts a checksum into its marker.",
      when: event("FlushStart"),
      look: 6,
      claims: [
        { ask: cells("lba", "V"), is: 1 },
        { ask: cells("q", "F"), is: 1 },
        { ask: lost({ record: 3 }, "cut", "ext4"), is: "sometimes" },
      ],
    },
    {
      text: "The sync has returned. Now, and not sooner, the client is told. The accounts on the disk are still the old ones.",
      when: said("5 from alice to bob"),
      look: 6,
      figures: {
        applied: { ask: "applied", path: "wal", how: "cut", choice: "first" },
        accounts: { ask: "found", path: "accounts", how: "cut", choice: "first" },
      },
      claims: [
        { ask: rung(3), is: "durable" },
        { ask: file("accounts", "ext4"), is: '"alice 10 bob 0"' },
        { ask: { ask: "applied", path: "wal", how: "cut", choice: "first" }, is: 1 },
      ],
      predict: {
        question: "The power is cut before the accounts are written. Is the transfer lost, on ext4?",
        ask: lost({ ack: "5 from alice to bob" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "The accounts read {accounts}, and the log has {applied} transaction that ends in COMMIT. Recovery applies it: the transfer is there.",
      },
    },
    {
      text: "The page is written when that suits. It is dirty in the page cache, and whatever becomes of it, the log can repeat it.",
      when: returned("pwrite64", 4),
      look: 3,
      claims: [
        { ask: cells("page", "D"), is: 1 },
        { ask: lost({ ack: "5 from alice to bob" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "5 from alice to bob" }, "cut", "posix"), is: "never" },
        { ask: { ask: "applied", path: "wal", how: "cut", choice: "last" }, is: 1 },
      ],
    },
    {
      text: "What a transfer costs before the client is told: {flushes} FLUSH, {took}, for one place in the log, however many pages it changes later.",
      when: END,
      look: 6,
      figures: {
        flushes: flushes(START, said("5 from alice to bob")),
        took: time(called("fdatasync"), said("5 from alice to bob")),
      },
      claims: [
        { ask: flushes(START, END), is: 1 },
        { ask: file("accounts", "machine"), is: '"alice 10 bob 0"' },
      ],
    },
  ],
};

const AT_RISK = { ask: "at risk", text: "my record", how: "cut", by: "ext4" } as const;

export const batch: Lesson = {
  id: "batch",
  title: "Batch mode, and what it may lose",
  question: "One sync for ten records is cheap. What was each client told?",
  script: `open log create append
fsyncdir .
repeat 2 {
    repeat 10 { write log "record\\n"; flush log; ack "my record" }
    fsync log
    ack "all records so far"
}
`,
  steps: [
    {
      text: "The first record is flushed, and its client hears that it is there. It is in the page cache.",
      when: said("my record"),
      look: 3,
      claims: [
        { ask: rung(1), is: "cached" },
        { ask: lost({ ack: "my record" }, "kill", "ext4"), is: "never" },
        { ask: lost({ ack: "my record" }, "cut", "ext4"), is: "sometimes" },
      ],
    },
    {
      text: "Ten records are flushed, ten clients were told. The sync comes next.",
      when: said("my record", 10),
      look: 3,
      figures: {
        risk: AT_RISK,
        kill: { ask: "at risk", text: "my record", how: "kill", by: "ext4" },
      },
      claims: [
        { ask: count("Ack"), is: 10 },
        { ask: { ask: "at risk", text: "my record", how: "kill", by: "ext4" }, is: 0 },
      ],
      predict: {
        question: "How many of the ten may a power cut take, on ext4?",
        ask: AT_RISK,
        options: [
          { text: "None", is: [0] },
          { text: "The last one", is: [1] },
          { text: "All ten", is: [10] },
        ],
        show: { die: "cut", by: "ext4" },
        then: "{risk} are at risk from a cut, and {kill} from a kill. Each was acknowledged a rung too high, if its client took it for stored.",
      },
    },
    {
      text: "One `fsync` for ten records: {flushes} FLUSH, {took}. Now {risk} of them are at risk.",
      when: said("all records so far"),
      look: 6,
      figures: {
        risk: AT_RISK,
        flushes: flushes(called("fsync", 2), returned("fsync", 2)),
        took: time(called("fsync", 2), returned("fsync", 2)),
      },
      claims: [
        { ask: AT_RISK, is: 0 },
        { ask: flushes(called("fsync", 2), returned("fsync", 2)), is: 1 },
        { ask: lost({ ack: "all records so far" }, "cut", "posix"), is: "never" },
      ],
    },
    {
      text: "Ten more. {risk} acknowledgements are at risk again: the ten since the last sync. The first ten are safe.",
      when: said("my record", 20),
      look: 3,
      figures: { risk: AT_RISK },
      claims: [
        { ask: AT_RISK, is: 10 },
        { ask: lost({ ack: "my record", no: 10 }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "my record", no: 11 }, "cut", "ext4"), is: "sometimes" },
      ],
    },
    {
      text: "For twenty records the drive was sent {flushes} FLUSHes. What may be lost is bounded by the batch; a store with such a mode says how large that is.",
      when: END,
      look: 6,
      figures: { flushes: flushes(called("fsync", 2), END) },
      claims: [
        { ask: AT_RISK, is: 0 },
        { ask: flushes(called("fsync", 2), END), is: 2 },
      ],
    },
    {
      text: "The same twenty with a sync behind each record, and each client told after it: {flushes} FLUSHes. At no acknowledgement is one at risk.",
      when: END,
      look: 6,
      run: {
        script: `open log create append
fsyncdir .
repeat 20 { write log "record\\n"; flush log; fsync log; ack "my record" }
`,
      },
      figures: { flushes: flushes(called("fsync", 2), END) },
      claims: [
        { ask: flushes(called("fsync", 2), END), is: 20 },
        { when: said("my record"), ask: AT_RISK, is: 0 },
        { when: said("my record", 7), ask: AT_RISK, is: 0 },
        { ask: AT_RISK, is: 0 },
      ],
    },
  ],
};
