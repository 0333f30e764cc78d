// Lessons about the price of a sync: fdatasync, and one sync for many.

import {
  answer, called, cells, commits, count, END, event, flushes, type Lesson, lost, returned, said, START, time, writes,
} from "./lesson.ts";

const WRITTEN = `durable { segment = zeros 64Ki }
pwrite segment "record 1" @0
fdatasync segment
ack "record 1 is stored"
`;

const SYNC_COST = {
  commits: commits(called("fdatasync"), returned("fdatasync")),
  flushes: flushes(called("fdatasync"), returned("fdatasync")),
  writes: writes(called("fdatasync"), returned("fdatasync")),
  took: time(called("fdatasync"), returned("fdatasync")),
};

const HOW_MANY = [
  { text: "None", is: [0] },
  { text: "One", is: [1] },
  { text: "Two", is: [2] },
];

export const fdatasync: Lesson = {
  id: "fdatasync",
  title: "fdatasync, and what a written log gains",
  question: "fdatasync leaves out what is not needed to read the data. When is that cheaper?",
  script: `durable { log = "record 1\\n" }
open log append
write log "record 2\\n"
flush log
fdatasync log
ack "record 2 is stored"
`,
  steps: [
    {
      text: "A record was appended: the file is longer than before. The new length is metadata, and has joined a transaction.",
      when: returned("write"),
      look: 4,
      claims: [
        { ask: count("Handle", "Length"), is: 1 },
        { ask: cells("jbd", "running"), is: 1 },
        { ask: cells("page", "D"), is: 1 },
      ],
    },
    {
      text: "`fdatasync` is called. Without the length nobody could read the new record, so the length cannot be left out.",
      when: called("fdatasync"),
      look: 4,
      claims: [{ ask: cells("jbd", "running"), is: 1 }],
      predict: {
        question: "How many transactions will the journal commit before `fdatasync` returns?",
        ask: SYNC_COST.commits,
        options: HOW_MANY,
        show: { go: returned("fdatasync") },
        then: "The journal made {commits} commit, as it does for `fsync`. In all: {writes} writes, {flushes} FLUSH, {took}.",
      },
      figures: SYNC_COST,
    },
    {
      text: "The record is safe under each model. A file that grows pays for a commit of the journal at each sync.",
      when: said("record 2 is stored"),
      look: 6,
      claims: [
        { ask: SYNC_COST.commits, is: 1 },
        { ask: lost({ ack: "record 2 is stored" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "record 2 is stored" }, "cut", "posix"), is: "never" },
      ],
    },
    {
      text: "Another log: a segment of 64 KiB that was filled with zeros and synced before. The record overwrites some of them. No length changes, and no transaction is running.",
      when: returned("pwrite64"),
      look: 4,
      run: { script: WRITTEN },
      claims: [
        { ask: cells("jbd"), is: 0 },
        { ask: cells("page", "D"), is: 1 },
      ],
    },
    {
      text: "Again `fdatasync` is called.",
      when: called("fdatasync"),
      look: 4,
      run: { script: WRITTEN },
      figures: SYNC_COST,
      claims: [{ ask: cells("jbd", "running"), is: 0 }],
      predict: {
        question: "How many transactions will the journal commit this time?",
        ask: SYNC_COST.commits,
        options: HOW_MANY,
        show: { go: returned("fdatasync") },
        then: "The journal made {commits} commits: {writes} write, {flushes} FLUSH, {took}.",
      },
    },
    {
      text: "It is safe all the same, under each model. This is why a log fills its segments with zeros before it needs them, or uses old ones again.",
      when: said("record 1 is stored"),
      look: 6,
      run: { script: WRITTEN },
      claims: [
        { ask: SYNC_COST.commits, is: 0 },
        { ask: SYNC_COST.flushes, is: 1 },
        { ask: lost({ ack: "record 1 is stored" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "record 1 is stored" }, "cut", "posix"), is: "never" },
      ],
    },
    {
      text: "To allocate is not enough. Blocks that were allocated and not written are marked so, and the first write must lift the mark in the journal: {commits} commit, {took}.",
      when: returned("fdatasync"),
      look: 4,
      run: {
        script: `durable { segment = "" }
allocate segment 65536
fsync segment
pwrite segment "record 1" @0
fdatasync segment
ack "record 1 is stored"
`,
      },
      figures: { commits: SYNC_COST.commits, took: SYNC_COST.took },
      claims: [
        { ask: count("Converted", "", called("fdatasync"), returned("fdatasync")), is: 1 },
        { ask: SYNC_COST.commits, is: 1 },
        { ask: answer("fdatasync"), is: "0" },
      ],
    },
  ],
};

export const groupCommit: Lesson = {
  id: "group-commit",
  title: "Group commit",
  question: "Four writers ask for a sync at the same moment. How often must the drive empty its cache?",
  script: `durable { wal = zeros 16Ki }
@A pwrite wal "a1" @0
@B pwrite wal "b1" @2
@C pwrite wal "c1" @4
@D pwrite wal "d1" @6
@A fdatasync wal; ack "a1" wal
@B fdatasync wal; ack "b1" wal
@C fdatasync wal; ack "c1" wal
@D fdatasync wal; ack "d1" wal
`,
  steps: [
    {
      text: "Four tasks have each written a record. All four records are on one page of the page cache.",
      when: returned("pwrite64", 4),
      look: 3,
      claims: [
        { ask: cells("page", "D"), is: 1 },
        { ask: count("Call", "pwrite64"), is: 4 },
      ],
    },
    {
      text: "All four have called `fdatasync`. None has returned.",
      when: called("fdatasync", 4),
      look: 2,
      figures: { flushes: flushes(START, END), writes: writes(START, END) },
      claims: [
        { ask: count("Call", "fdatasync"), is: 4 },
        { ask: count("Ret", "fdatasync"), is: 0 },
      ],
      predict: {
        question: "How many FLUSHes will the drive be sent for the four of them?",
        ask: flushes(START, END),
        options: [
          { text: "One", is: [1] },
          { text: "Two", is: [2] },
          { text: "Three", is: [3] },
          { text: "Four", is: [4] },
        ],
        show: { go: END },
        then: "There were {flushes} FLUSHes and {writes} write for four syncs. The next steps show why.",
      },
    },
    {
      text: "The call that finds the page dirty writes it. One write carries all four records; the other three wait for it.",
      when: event("CacheIn"),
      look: 5,
      claims: [
        { ask: writes(START, event("CacheIn")), is: 1 },
        { ask: count("WbStart"), is: 1 },
      ],
    },
    {
      text: "Each call asks for a FLUSH. One is in flight at a time: the first of them has started, and the other three wait in the block layer for the next.",
      when: event("Bio", "FLUSH", 4),
      look: 5,
      claims: [
        { ask: count("Bio", "FLUSH"), is: 4 },
        { ask: count("FlushStart"), is: 1 },
      ],
    },
    {
      text: "The second FLUSH is for all who waited. When it ends three calls return together, {apart} after the first.",
      when: returned("fdatasync", 4),
      look: 5,
      figures: { apart: time(event("FlushDone"), event("FlushDone", "", 2)) },
      claims: [
        { ask: count("FlushStart"), is: 2 },
        { ask: count("Ret", "fdatasync", event("FlushDone", "", 2), END), is: 3 },
      ],
    },
    {
      text: "Four acknowledgements, each as safe as if it had been alone. They took {took} in all.",
      when: END,
      look: 6,
      figures: { took: time(called("fdatasync"), END) },
      claims: [
        { ask: lost({ ack: "a1" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "b1" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "c1" }, "cut", "posix"), is: "never" },
        { ask: lost({ ack: "d1" }, "cut", "posix"), is: "never" },
      ],
    },
    {
      text: "One after the other, each with a sync of its own, the same four records cost {flushes} FLUSHes and {took}.",
      when: END,
      look: 6,
      run: {
        script: `durable { wal = zeros 16Ki }
pwrite wal "a1" @0; fdatasync wal; ack "a1" wal
pwrite wal "b1" @2; fdatasync wal; ack "b1" wal
pwrite wal "c1" @4; fdatasync wal; ack "c1" wal
pwrite wal "d1" @6; fdatasync wal; ack "d1" wal
`,
      },
      figures: { flushes: flushes(START, END), took: time(called("fdatasync"), END) },
      claims: [
        { ask: flushes(START, END), is: 4 },
        { ask: writes(START, END), is: 4 },
        { ask: lost({ ack: "d1" }, "cut", "ext4"), is: "never" },
      ],
    },
    {
      text: "A log does the grouping itself: whoever comes while a sync is under way joins the next group, which is one write and one sync. Here four records share {flushes} FLUSH.",
      when: END,
      look: 6,
      run: {
        script: `durable { wal = zeros 16Ki }
pwrite wal "a1b1c1d1" @0
fdatasync wal
ack "a1, b1, c1 and d1"
`,
      },
      figures: { flushes: flushes(START, END) },
      claims: [
        { ask: flushes(START, END), is: 1 },
        { ask: writes(START, END), is: 1 },
        { ask: lost({ ack: "a1, b1, c1 and d1" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "a1, b1, c1 and d1" }, "cut", "posix"), is: "never" },
      ],
    },
  ],
};
