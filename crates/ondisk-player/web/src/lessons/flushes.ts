// Lessons about flush and fsync: which of them moves what.

import {
  answer, before, called, cells, committed, count, event, file, flushes, type Lesson, LOST, lost, order, returned, rung, said, START, time, writes,
} from "./lesson.ts";

export const flush: Lesson = {
  id: "flush",
  title: "flush is not fsync",
  question: "After a flush the kernel has the record. Is it on the disk?",
  script: `open log create
write log "record 1"
flush log
ack "record 1 is flushed"
fsync log
ack "record 1 is stored"
`,
  steps: [
    {
      text: "A program has opened a new file, `log`. Its name stands in a transaction of the file system, in memory. The drive has been sent {writes} writes.",
      when: returned("openat"),
      look: 4,
      figures: { writes: count("Dispatched") },
      claims: [
        { ask: cells("jbd", "running"), is: 1 },
        { ask: count("Dispatched"), is: 0 },
        { ask: file("log", "machine"), is: "absent" },
      ],
    },
    {
      text: "`write` of a buffered library is no system call. The {bytes} bytes lie in a buffer inside the process, above the line between user and kernel. Whoever kills the process takes them.",
      when: event("Buffered"),
      look: 1,
      figures: { bytes: { ask: "buffered" } },
      claims: [
        { ask: { ask: "buffered" }, is: 8 },
        { ask: rung(1), is: "buffered" },
        { ask: count("Call", "write("), is: 0 },
        { ask: lost({ record: 1 }, "kill", "machine"), is: "always" },
      ],
    },
    {
      text: "`flush` hands the bytes over with one call of `write(2)`. They are in the page cache now, on a page marked dirty. The process may be killed: the kernel keeps them.",
      when: returned("write"),
      look: 3,
      claims: [
        { ask: count("Call", "write("), is: 1 },
        { ask: rung(1), is: "cached" },
        { ask: cells("page", "D"), is: 1 },
        { ask: lost({ record: 1 }, "kill", "machine"), is: "never" },
      ],
    },
    {
      text: "The program says that the record is flushed. That is true. Nothing below the page cache has heard of it.",
      when: said("record 1 is flushed"),
      look: 3,
      claims: [{ ask: writes(START, said("record 1 is flushed")), is: 0 }],
      predict: {
        question: "The power is cut now. Does a cut like this take the record, on ext4?",
        ask: lost({ ack: "record 1 is flushed" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "ext4 promises nothing here, since write-back may happen at any time: the file may be {may}. On this machine none had begun: {here}.",
      },
      figures: { may: file("log", "ext4"), here: file("log", "machine") },
    },
    {
      text: "`fsync` starts the write-back. The page is in flight, on its way through the block layer to the drive. The call has not returned.",
      when: event("WbStart"),
      look: 3,
      claims: [
        { ask: cells("page", "W"), is: 1 },
        { ask: order(event("WbStart"), returned("fsync")), is: "yes" },
      ],
    },
    {
      text: "The drive has the block in its own cache and reports the write done. A power cut empties this cache. A crash takes the record as well: its name has not been written anywhere.",
      when: event("CacheIn"),
      look: 6,
      claims: [
        { ask: cells("lba", "V"), is: 1 },
        { ask: lost({ record: 1 }, "cut", "machine"), is: "always" },
        { ask: lost({ record: 1 }, "crash", "machine"), is: "always" },
      ],
    },
    {
      text: "FLUSH made the drive write its cache to the flash: {safe} blocks are on stable media, the data among them. A cut takes the record still: its name is in a transaction that has no commit record.",
      when: event("FlushDone"),
      look: 6,
      figures: { safe: cells("lba", "S") },
      claims: [
        { ask: cells("lba", "V"), is: 0 },
        { ask: cells("jbd", "record"), is: 1 },
        { ask: lost({ record: 1 }, "cut", "machine"), is: "always" },
      ],
    },
    {
      text: "The commit record is durable. Name, length and bytes are on stable media, and only now does `fsync` return.",
      when: committed(),
      look: 4,
      claims: [
        { ask: rung(1), is: "durable" },
        { ask: lost({ record: 1 }, "cut", "machine"), is: "never" },
        { when: before(committed()), ask: lost({ record: 1 }, "crash", "machine"), is: "never" },
        { ask: order(committed(), returned("fsync")), is: "yes" },
      ],
    },
    {
      text: "`fsync` has returned, {took} after it was called. It cost {flushes} FLUSH and {writes} writes. Now the program says that the record is stored.",
      when: said("record 1 is stored"),
      look: 6,
      figures: {
        took: time(called("fsync"), returned("fsync")),
        flushes: flushes(called("fsync"), returned("fsync")),
        writes: writes(called("fsync"), returned("fsync")),
        may: file("log", "ext4"),
      },
      claims: [
        { ask: answer("fsync"), is: "0" },
        { ask: lost({ ack: "record 1 is stored" }, "kill", "ext4"), is: "never" },
        { ask: lost({ ack: "record 1 is stored" }, "crash", "ext4"), is: "never" },
      ],
      predict: {
        question: "And now: does a power cut take what was acknowledged, on ext4?",
        ask: lost({ ack: "record 1 is stored" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "After a cut here `log` is {may} on ext4. An acknowledgement names a rung, and is to be given when the rung was reached.",
      },
    },
  ],
};

export const fsyncWithoutFlush: Lesson = {
  id: "fsync-without-flush",
  title: "fsync without flush",
  question: "fsync returned 0. What did it sync?",
  script: `open log create
write log "record 1"
fsync log
fsyncdir .
ack "record 1 is stored"
`,
  steps: [
    {
      text: "The record is in the buffer of the program, {bytes} bytes. Nobody flushes it.",
      when: event("Buffered"),
      look: 1,
      figures: { bytes: { ask: "buffered" } },
      claims: [
        { ask: rung(1), is: "buffered" },
        { ask: cells("page"), is: 0 },
      ],
    },
    {
      text: "`fsync` is a call to the kernel, about what the kernel has. Of this file it has a name, and not one page.",
      when: called("fsync"),
      look: 3,
      claims: [
        { ask: cells("page"), is: 0 },
        { ask: cells("jbd", "running"), is: 1 },
      ],
    },
    {
      text: "The sync was done in earnest: {commits} commit of the journal, {flushes} FLUSH, and it answered {answer}. It made an empty file durable.",
      when: returned("fsync"),
      look: 4,
      figures: {
        commits: count("TxnState", "to Finished"),
        flushes: count("FlushStart"),
        answer: answer("fsync"),
      },
      claims: [
        { ask: answer("fsync"), is: "0" },
        { ask: count("TxnState", "to Finished"), is: 1 },
        { ask: file("log", "machine"), is: '""' },
        { ask: rung(1), is: "buffered" },
      ],
    },
    {
      text: "The directory is synced too, and the program says that the record is stored. Each call said that it succeeded.",
      when: said("record 1 is stored"),
      look: 1,
      figures: { may: file("log", "ext4") },
      claims: [
        { ask: answer("fsync", 2), is: "0" },
        { ask: { ask: "buffered" }, is: 8 },
        { ask: file("log", "ext4"), is: '""' },
        { ask: file("log", "posix"), is: '""' },
        { ask: lost({ ack: "record 1 is stored" }, "kill", "ext4"), is: "always" },
        { ask: lost({ ack: "record 1 is stored" }, "cut", "strict"), is: "always" },
        { ask: lost({ ack: "record 1 is stored" }, "cut", "posix"), is: "always" },
      ],
      predict: {
        question: "The power is cut. Is the record lost, on ext4?",
        ask: lost({ ack: "record 1 is stored" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "`log` is {may} after it, under each model. The bytes never left the process: a kill would have been enough.",
      },
    },
    {
      text: "The same program with a `flush` before the `fsync`. The page is there, so there is something to sync.",
      when: called("fsync"),
      look: 3,
      run: {
        script: `open log create
write log "record 1"
flush log
fsync log
fsyncdir .
ack "record 1 is stored"
`,
      },
      claims: [
        { ask: cells("page", "D"), is: 1 },
        { when: said("record 1 is stored"), ask: lost({ ack: "record 1 is stored" }, "cut", "ext4"), is: "never" },
        { when: said("record 1 is stored"), ask: lost({ ack: "record 1 is stored" }, "cut", "posix"), is: "never" },
      ],
    },
  ],
};
