// Lessons about what happens without a sync: close, a full buffer, and time.

import {
  answer, called, cells, committed, count, event, file, type Lesson, LOST, lost, mayBe, order, returned, rung, said, START, time,
} from "./lesson.ts";

export const close: Lesson = {
  id: "close",
  title: "close is not fsync",
  question: "The file was closed, and close returned 0. Is it on the disk?",
  script: `open log create
write log "record 1"
close log
ack "record 1 is in a closed file"
wait 6s
ack "six seconds later"
`,
  steps: [
    {
      text: "The record lies in the buffer of the program.",
      when: event("Buffered"),
      look: 1,
      claims: [{ ask: rung(1), is: "buffered" }],
    },
    {
      text: "Before it closes, this library flushes: the bytes cross the line with one `write(2)`, and lie in the page cache.",
      when: returned("write"),
      look: 3,
      claims: [
        { ask: order(returned("write"), called("close")), is: "yes" },
        { ask: rung(1), is: "cached" },
        { ask: cells("page", "D"), is: 1 },
      ],
    },
    {
      text: "`close` answered {answer}. It gave back a descriptor. It started no write-back, and the drive was sent {writes} writes.",
      when: returned("close"),
      look: 2,
      figures: { answer: answer("close"), writes: count("Dispatched") },
      claims: [
        { ask: answer("close"), is: "0" },
        { ask: count("WbStart"), is: 0 },
        { ask: count("Dispatched"), is: 0 },
      ],
    },
    {
      text: "The program says that the record is in a closed file.",
      when: said("record 1 is in a closed file"),
      look: 3,
      figures: { may: file("log", "ext4"), here: file("log", "machine") },
      claims: [
        { ask: lost({ ack: "record 1 is in a closed file" }, "kill", "ext4"), is: "never" },
        { ask: lost({ ack: "record 1 is in a closed file" }, "cut", "machine"), is: "always" },
      ],
      predict: {
        question: "The power is cut. Is the record lost, on ext4?",
        ask: lost({ ack: "record 1 is in a closed file" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "ext4 allows {may}. This machine had written nothing back: {here}. To close a file is to let go of it, and no more.",
      },
    },
    {
      text: "After five seconds the journal commits by itself. The name is durable now, the bytes are not: the page is dirty still. A cut leaves an empty file on this machine, {here}.",
      when: committed(),
      look: 4,
      figures: { here: file("log", "machine") },
      claims: [
        { ask: cells("page", "D"), is: 1 },
        { ask: file("log", "machine"), is: '""' },
        { ask: lost({ ack: "record 1 is in a closed file" }, "cut", "machine"), is: "always" },
        { ask: time(START, committed()), is: "5.00 s" },
      ],
    },
  ],
};

const TWO_RECORDS = `open log create
write log "A"*8000
ack "A"
write log "B"*8000
ack "A and B"
`;

export const fills: Lesson = {
  id: "buffer",
  title: "The buffer fills by itself",
  question: "Two records are written, and nobody flushes. Which of them has left the process?",
  script: TWO_RECORDS,
  steps: [
    {
      text: "This buffer has room for 8192 bytes, and {bytes} are in it. The kernel has been called for none of them.",
      when: said("A"),
      look: 1,
      figures: { bytes: { ask: "buffered" } },
      claims: [
        { ask: { ask: "buffered" }, is: 8000 },
        { ask: count("Call", "write("), is: 0 },
        { ask: lost({ ack: "A" }, "kill", "machine"), is: "always" },
      ],
    },
    {
      text: "The second record does not fit beside the first. So the buffer empties itself, at a moment that the program did not choose.",
      when: called("write"),
      look: 2,
      claims: [
        { ask: count("Call", "write("), is: 1 },
        { ask: order(said("A"), called("write")), is: "yes" },
        { ask: order(called("write"), said("A and B")), is: "yes" },
      ],
    },
    {
      text: "The first record is in the page cache, on {pages} dirty pages. The second is in the buffer.",
      when: said("A and B"),
      look: 1,
      figures: { pages: cells("page", "D"), here: { ask: "found", path: "log", how: "kill", choice: "first" } },
      claims: [
        { ask: rung(1), is: "cached" },
        { ask: rung(2), is: "buffered" },
        { ask: cells("page", "D"), is: 2 },
      ],
      predict: {
        question: "The process is killed now. Which records are left?",
        ask: { ask: "kept", how: "kill", choice: "first" },
        options: [
          { text: "Both", is: ["1, 2"] },
          { text: "The first alone", is: ["1"] },
          { text: "The second alone", is: ["2"] },
          { text: "Neither", is: ["none"] },
        ],
        show: { die: "kill", by: "ext4" },
        then: "`log` is {here}. The program had done the same for both.",
      },
    },
    {
      text: "Another library, another habit: C fills its buffer and hands over whole blocks. After a kill `log` is {here}: the second record is there in part.",
      when: said("A and B"),
      look: 1,
      run: { knobs: { profile: "c" } },
      figures: { here: { ask: "found", path: "log", how: "kill", choice: "first" } },
      claims: [
        { ask: { ask: "kept", how: "kill", choice: "first" }, is: "1" },
        { ask: { ask: "buffered" }, is: 3712 },
        { ask: lost({ ack: "A and B" }, "kill", "machine"), is: "always" },
      ],
    },
    {
      text: "With a `flush` behind each record both are in the page cache when it is acknowledged, whatever the library. A kill takes neither. A cut may take both.",
      when: said("A and B"),
      look: 3,
      run: {
        script: `open log create
write log "A"*8000; flush log
ack "A"
write log "B"*8000; flush log
ack "A and B"
`,
      },
      claims: [
        { ask: { ask: "kept", how: "kill", choice: "first" }, is: "1, 2" },
        { ask: lost({ ack: "A and B" }, "kill", "ext4"), is: "never" },
        { ask: lost({ ack: "A" }, "cut", "ext4"), is: "sometimes" },
        { ask: lost({ ack: "A and B" }, "cut", "ext4"), is: "sometimes" },
      ],
    },
  ],
};

export const waiting: Lesson = {
  id: "waiting",
  title: "Time makes nothing durable",
  question: "Nobody syncs, and the program waits. Is it enough to wait long?",
  script: `open log create
write log "record 1"
flush log
ack "record 1 is flushed"
wait 6s
ack "six seconds later"
wait 40s
ack "much later"
`,
  steps: [
    {
      text: "The record is in the page cache, and nobody asks for a sync. From here on the kernel works by its own clocks.",
      when: said("record 1 is flushed"),
      look: 3,
      claims: [
        { ask: rung(1), is: "cached" },
        { ask: count("Call", "sync"), is: 0 },
      ],
    },
    {
      text: "{first} after the start the journal has committed the name. The bytes were not part of it: a cut on this machine leaves an empty file, {here}.",
      when: committed(),
      look: 4,
      figures: { first: time(START, committed()), here: file("log", "machine") },
      claims: [
        { ask: file("log", "machine"), is: '""' },
        { ask: cells("page", "D"), is: 1 },
      ],
    },
    {
      text: "After {later} the flusher finds that the page is old enough, and writes it back. A block is allocated only now.",
      when: event("Allocated"),
      look: 3,
      figures: { later: time(START, event("WbStart")) },
      claims: [
        { ask: cells("page", "W"), is: 1 },
        { ask: time(START, event("WbStart")), is: "30.0 s" },
        { ask: count("Allocated"), is: 1 },
      ],
    },
    {
      text: "The page is clean: the drive has it, in its cache. The new length is in a second transaction, which is running.",
      when: event("WbDone"),
      look: 6,
      claims: [
        { ask: mayBe("log", '""', "machine"), is: "yes" },
        { ask: cells("page", "C"), is: 1 },
        { ask: cells("jbd", "running"), is: 1 },
        { ask: rung(1), is: "cached" },
      ],
      predict: {
        question: "The page is clean. Does a cut at this moment take the record, on this machine?",
        ask: lost({ record: 1 }, "cut", "machine"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "The file may be there, and empty. A clean page says that the drive was given the bytes. It does not say that they are on stable media, nor that the file reaches them.",
      },
    },
    {
      text: "{second} after the start a second commit brings the length, and the FLUSH in front of it the data. On this machine the record is durable now.",
      when: committed(2),
      look: 4,
      figures: { second: time(START, committed(2)) },
      claims: [
        { ask: rung(1), is: "durable" },
        { ask: lost({ record: 1 }, "cut", "machine"), is: "never" },
        { ask: order(event("FlushDone", "", 2), committed(2)), is: "yes" },
      ],
    },
    {
      text: "On this machine the wait was long enough. What ext4 promises does not depend on a clock, since the flusher may be early or late.",
      when: said("much later"),
      figures: { may: file("log", "ext4") },
      claims: [{ ask: lost({ record: 1 }, "cut", "machine"), is: "never" }],
      predict: {
        question: "Much later the power is cut. May the record be lost, as far as ext4 promises?",
        ask: lost({ ack: "record 1 is flushed" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "Without a sync any of {may} is allowed. A wait makes a loss unlikely, and no acknowledgement can rest on it.",
      },
    },
  ],
};
