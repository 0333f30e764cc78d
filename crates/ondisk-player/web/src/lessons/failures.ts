// Lessons about what goes wrong beside a cut: a sync that fails, and a page that is torn.

import {
  answer, called, cells, count, event, example, file, flushes, type Lesson, LOST, lost, order, other, returned, rung, said, YES_NO,
} from "./lesson.ts";

export const failedFsync: Lesson = {
  id: "failed-fsync",
  title: "The fsync that failed",
  question: "fsync failed. The program calls it again, and it answers 0. Is all well?",
  script: `durable { page = "old" }
pwrite page "new" @0
fail fsync page EIO
fsync page
fsync page
ack "new is stored"
read page
`,
  steps: [
    {
      text: "The page is dirty, and `fsync` begins to write it back.",
      when: event("WbStart"),
      look: 3,
      claims: [
        { ask: cells("page", "W"), is: 1 },
        { ask: file("page", "machine"), is: '"old"' },
      ],
    },
    {
      text: "The write failed, and `fsync` says so: {answer}. The kernel takes the page for clean all the same. The new bytes are in memory alone.",
      when: returned("fsync"),
      look: 3,
      figures: { answer: answer("fsync") },
      claims: [
        { ask: answer("fsync"), is: "EIO" },
        { ask: cells("page", "E"), is: 1 },
        { ask: cells("page", "D"), is: 0 },
        { ask: lost({ record: 1 }, "cut", "machine"), is: "always" },
      ],
    },
    {
      text: "The program calls `fsync` a second time.",
      when: called("fsync", 2),
      look: 3,
      figures: {
        answer: answer("fsync", 2),
        writes: count("WbStart", "", called("fsync", 2), returned("fsync", 2)),
        flushes: flushes(called("fsync", 2), returned("fsync", 2)),
      },
      claims: [{ ask: cells("page", "E"), is: 1 }],
      predict: {
        question: "Will the second `fsync` write the page again?",
        ask: count("WbStart", "", called("fsync", 2), returned("fsync", 2)),
        options: [
          { text: "Yes", is: [1] },
          { text: "No", is: [0] },
        ],
        show: { go: returned("fsync", 2) },
        then: "It wrote {writes} pages, sent {flushes} FLUSH, and answered {answer}. A clean page is not written, and an error is told once.",
      },
    },
    {
      text: "A read answers with the new bytes, from the page cache. To the program everything looks right.",
      when: returned("pread64"),
      look: 3,
      claims: [
        { ask: answer("pread64"), is: "3" },
        { ask: count("Dispatched", "read", called("pread64"), returned("pread64")), is: 0 },
        { ask: { ask: "found", path: "page", how: "kill", choice: "first" }, is: '"new"' },
        { ask: file("page", "machine"), is: '"old"' },
      ],
    },
    {
      text: "It had said that the new page is stored, since the last `fsync` answered {answer}.",
      when: said("new is stored"),
      look: 6,
      figures: { answer: answer("fsync", 2), may: file("page", "ext4"), here: file("page", "machine") },
      claims: [
        { ask: answer("fsync", 2), is: "0" },
        { ask: lost({ ack: "new is stored" }, "cut", "machine"), is: "always" },
        { ask: lost({ ack: "new is stored" }, "cut", "xfs"), is: "sometimes" },
        { ask: lost({ ack: "new is stored" }, "cut", "btrfs"), is: "sometimes" },
      ],
      predict: {
        question: "The power is cut. Is the new page lost, on ext4?",
        ask: lost({ ack: "new is stored" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "It may be {may}, and on this machine it is {here}. An `fsync` that failed is not to be repeated: what it was for counts as lost.",
      },
    },
    {
      text: "What helps is to write the bytes again, and sync that. The page is dirty once more, and the new `fsync` covers it. Many a store stops instead, and recovers from its log.",
      when: said("new is stored"),
      look: 6,
      run: {
        script: `durable { page = "old" }
pwrite page "new" @0
fail fsync page EIO
fsync page
pwrite page "new" @0
fsync page
ack "new is stored"
`,
      },
      claims: [
        { ask: answer("fsync"), is: "EIO" },
        { ask: rung(2), is: "durable" },
        { ask: lost({ ack: "new is stored" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "new is stored" }, "cut", "posix"), is: "never" },
      ],
    },
  ],
};

const IMAGE_FIRST = `durable { page = "a"*4096; log = zeros 8192 }
pwrite log "b"*4096 @0
fdatasync log
ack "the page is in the log" log
pwrite page "b"*4096 @0
ack "the page is written" page
`;

/** Everything else is torn. */
export const WHOLE = ['"a"*4096', '"b"*4096'];

export const tornPages: Lesson = {
  id: "torn-pages",
  title: "Torn pages",
  question: "A page of 4 KiB is overwritten and the power goes. Is it the old page or the new one?",
  script: `durable { page = "a"*4096 }
pwrite page "b"*4096 @0
ack "page is b"
fdatasync page
ack "page is b, synced"
`,
  steps: [
    {
      text: "One page, one call, one block on the drive. The page cache holds the new content, the disk the old one.",
      when: returned("pwrite64"),
      look: 3,
      claims: [
        { ask: cells("page", "D"), is: 1 },
        { ask: file("page", "machine"), is: '"a"*4096' },
      ],
    },
    {
      text: "The block is on its way to the drive. To the drive it is eight sectors of 512 bytes, and all that stores count on, though nobody promises it, is that a sector stays whole.",
      when: event("Dispatched", "write"),
      look: 5,
      figures: { torn: example("page", WHOLE, "ext4") },
      claims: [
        { ask: cells("q", "D"), is: 1 },
        { ask: lost({ ack: "page is b" }, "cut", "ext4"), is: "sometimes" },
      ],
      predict: {
        question: "May a cut leave a page that is neither the old nor the new one, on ext4?",
        ask: other("page", WHOLE, "ext4"),
        options: YES_NO,
        show: { die: "cut", by: "ext4" },
        then: "One that it may be: {torn}. That is a torn page, some sectors old and some new. A checksum notices it, and cannot put it right.",
      },
    },
    {
      text: "A sync that has returned ends the question: the page is {may}. Until then each overwrite in place is a risk to what was there before.",
      when: said("page is b, synced"),
      look: 6,
      figures: { may: file("page", "ext4") },
      claims: [
        { ask: file("page", "ext4"), is: '"b"*4096' },
        { ask: file("page", "posix"), is: '"b"*4096' },
        { ask: lost({ ack: "page is b, synced" }, "cut", "posix"), is: "never" },
      ],
    },
    {
      text: "xfs overwrites in place too. btrfs writes to a new place and changes the pointer, and `data=journal` keeps a copy: there a page is old or new.",
      when: said("page is b"),
      look: 4,
      claims: [
        { ask: other("page", WHOLE, "xfs"), is: "yes" },
        { ask: other("page", WHOLE, "btrfs"), is: "no" },
        { ask: other("page", WHOLE, "ext4:journal"), is: "no" },
      ],
    },
    {
      text: "A store on any file system puts the whole page into its log first, and syncs the log.",
      when: said("the page is in the log"),
      look: 6,
      run: { script: IMAGE_FIRST },
      claims: [
        { ask: rung(1), is: "durable" },
        { ask: order(returned("fdatasync"), called("pwrite64", 2)), is: "yes" },
        { ask: lost({ ack: "the page is in the log" }, "cut", "posix"), is: "never" },
      ],
    },
    {
      text: "Then it overwrites the page in place. The page may be torn by a cut as before. Its image in the log is not, since nobody writes there now: recovery copies it back.",
      when: said("the page is written"),
      look: 3,
      run: { script: IMAGE_FIRST },
      claims: [
        { ask: other("page", WHOLE, "ext4"), is: "yes" },
        { ask: file("log", "ext4"), is: '"b"*4096 + zeros 4096' },
        { ask: lost({ ack: "the page is in the log" }, "cut", "ext4"), is: "never" },
      ],
    },
  ],
};
