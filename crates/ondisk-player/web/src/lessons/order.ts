// Lessons about order: what has to be durable before something else is written or removed.

import {
  before, called, cells, count, END, event, example, file, type Lesson, LOST, lost, mayBe, next, order, other, returned, rung, said, YES_NO,
} from "./lesson.ts";

const DATA_FIRST = `durable { log = "put k v2;"; data = "k v1" }
write data "k v2" @0
flush data
fsync data
ack "k is v2" data
setlen log 0
write log "put k v3;"
flush log
ack "the log is used again"
`;

export const truncate: Lesson = {
  id: "truncate",
  title: "Truncating a log",
  question: "The data file has all that the log says. May the log be emptied?",
  script: `durable { log = "put k v2;"; data = "k v1" }
write data "k v2" @0
flush data
ack "k is v2" data
setlen log 0
fsync log
ack "the log is empty" log
`,
  steps: [
    {
      text: "On the disk the log says v2 and the data file v1. The data file has been brought up to date, in the page cache.",
      when: returned("write"),
      look: 3,
      claims: [
        { ask: file("log", "machine"), is: '"put k v2;"' },
        { ask: file("data", "machine"), is: '"k v1"' },
        { ask: cells("page", "D"), is: 1 },
      ],
    },
    {
      text: "The log is cut to nothing and synced, with care. The data file was flushed, and nobody synced it: its page is dirty still.",
      when: returned("fsync"),
      look: 3,
      claims: [
        { ask: file("log", "machine"), is: '""' },
        { ask: file("log", "posix"), is: '""' },
        { ask: cells("page", "D"), is: 1 },
        { ask: file("data", "machine"), is: '"k v1"' },
      ],
    },
    {
      text: "Before this the record was durable, in the log. It was acknowledged for the data file.",
      when: said("the log is empty"),
      look: 6,
      figures: { data: file("data", "machine"), log: file("log", "machine") },
      claims: [
        { ask: lost({ ack: "k is v2" }, "cut", "machine"), is: "always" },
        { ask: lost({ ack: "the log is empty" }, "cut", "ext4"), is: "never" },
      ],
      predict: {
        question: "The power is cut. Is v2 lost from the data file, on ext4?",
        ask: lost({ ack: "k is v2" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "On this machine `data` is {data} and `log` is {log}. The record was synced once, and is now in neither.",
      },
    },
    {
      text: "The right order: the data file is flushed and synced first. Its new content is durable before the log loses its own.",
      when: said("k is v2"),
      look: 6,
      run: { script: DATA_FIRST },
      claims: [
        { ask: rung(1), is: "durable" },
        { ask: order(returned("fsync"), called("ftruncate")), is: "yes" },
        { ask: lost({ ack: "k is v2" }, "cut", "posix"), is: "never" },
      ],
    },
    {
      text: "Only then is the log emptied and written anew, without any hurry: none of that is synced.",
      when: said("the log is used again"),
      look: 3,
      run: { script: DATA_FIRST },
      figures: { log: file("log", "ext4"), data: file("data", "ext4") },
      claims: [
        { ask: file("data", "ext4"), is: '"k v2"' },
        { ask: file("data", "posix"), is: '"k v2"' },
        { ask: mayBe("log", "zeros 9", "ext4"), is: "yes" },
        { ask: count("Call", "sync", said("k is v2"), END), is: 0 },
      ],
      predict: {
        question: "The power is cut. Is v2 lost now?",
        ask: lost({ ack: "k is v2" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "The log may be {log}. Whichever it is, `data` is {data}, and nothing that was acknowledged is missing.",
      },
    },
  ],
};

const LOG_SYNCED = `durable { page = "a"*4096; log = zeros 4096 }
pwrite log "page was a, becomes b" @0
fdatasync log
ack "the log knows" log
pwrite page "b"*4096 @0
ack "the page is written" page
`;

const PAGE_IS_OLDER = `durable { page = "a"*4096; log = zeros 4096 }
pwrite page "a" @0
wait 6s
pwrite log "page was a, becomes b" @0
pwrite page "b"*4096 @0
wait 40s
`;

const WHOLE = ['"a"*4096', '"b"*4096'];

export const logFirst: Lesson = {
  id: "log-first",
  title: "Nobody orders your pages: log first",
  question: "The log was written before the page. Does it reach the disk before the page?",
  script: `durable { page = "a"*4096; log = zeros 4096 }
pwrite log "page was a, becomes b" @0
pwrite page "b"*4096 @0
ack "the log knows" log
`,
  steps: [
    {
      text: "The log tells what is about to happen to the page. It is in the page cache.",
      when: returned("pwrite64"),
      look: 3,
      claims: [
        { ask: rung(1), is: "cached" },
        { ask: cells("page", "D"), is: 1 },
      ],
    },
    {
      text: "Then the page is changed. Two dirty pages in two files: for the kernel they have no order, and each is written back when its turn comes.",
      when: returned("pwrite64", 2),
      look: 3,
      claims: [
        { ask: cells("page", "D"), is: 2 },
        { ask: count("WbStart"), is: 0 },
      ],
    },
    {
      text: "The program relies on the log.",
      when: said("the log knows"),
      look: 3,
      figures: { torn: example("page", WHOLE, "ext4") },
      claims: [
        { ask: mayBe("page", '"b"*4096', "ext4"), is: "yes" },
        { ask: other("page", WHOLE, "ext4"), is: "yes" },
        { ask: mayBe("log", "zeros 4096", "ext4"), is: "yes" },
        { ask: lost({ ack: "the log knows" }, "cut", "strict"), is: "sometimes" },
      ],
      predict: {
        question: "The power is cut. Is the log's record lost, on ext4?",
        ask: lost({ ack: "the log knows" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "And the page may be the old one, the new one or a mixture, such as {torn}, whatever became of the log. A page that changed, and a log that knows nothing of it: nobody can put that right.",
      },
    },
    {
      text: "Here it happens. Something older had made the page's file dirty, so the flusher takes that file first. The new page is on the flash, the log is dirty in memory: a cut leaves `log` as {log}.",
      when: next(event("WbDone"), "Settled", "durable"),
      look: 6,
      run: { script: PAGE_IS_OLDER },
      figures: { log: file("log", "machine") },
      claims: [
        { ask: file("page", "machine"), is: '"b"*4096' },
        { ask: file("log", "machine"), is: "zeros 4096" },
        { ask: cells("page", "D"), is: 1 },
        { ask: order(returned("pwrite64", 2), returned("pwrite64", 3)), is: "yes" },
      ],
    },
    {
      text: "Write ahead means: the log is synced before the page is touched. The log's record is durable here, and the page has not been changed anywhere.",
      when: said("the log knows"),
      look: 6,
      run: { script: LOG_SYNCED },
      claims: [
        { ask: rung(1), is: "durable" },
        { ask: order(returned("fdatasync"), called("pwrite64", 2)), is: "yes" },
        { ask: file("page", "ext4"), is: '"a"*4096' },
        { ask: lost({ ack: "the log knows" }, "cut", "posix"), is: "never" },
      ],
    },
    {
      text: "Now the page may be written whenever that suits, since the log comes first whatever a cut leaves of it.",
      when: said("the page is written"),
      look: 3,
      run: { script: LOG_SYNCED },
      figures: { torn: example("page", WHOLE, "ext4") },
      claims: [
        { when: before(said("the page is written")), ask: lost({ ack: "the log knows" }, "cut", "ext4"), is: "never" },
        { ask: other("page", WHOLE, "ext4"), is: "yes" },
      ],
      predict: {
        question: "May a cut leave a changed page whose log record is missing?",
        ask: mayBe("log", "zeros 4096", "ext4"),
        options: YES_NO,
        show: { die: "cut", by: "ext4" },
        then: "The page may be old, new, or torn, as in {torn}. The log has its record in every case, and recovery writes the page again.",
      },
    },
  ],
};
