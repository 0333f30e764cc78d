// Lessons about what the kernel does below the page cache: the journal, and the requests.

import {
  before, called, cells, count, END, event, file, flushes, type Lesson, lost, mayBe, order, other, returned, rung, said, START, writes,
} from "./lesson.ts";

const LOCKED = event("TxnState", "to Locked");
const FLUSHING = event("TxnState", "to Flush");
const COMMITTING = event("TxnState", "to Commit");
const RECORD = event("TxnState", "to Record");
const FINISHED = event("TxnState", "to Finished");

export const ordered: Lesson = {
  id: "ordered",
  title: "Ordered journaling, step by step",
  question: "Two files are written, one is synced. What becomes of the other?",
  script: `open a create
write a "A"*4096
flush a
ack "a" a
open b create
write b "B"
flush b
fsync b
ack "b" b
`,
  steps: [
    {
      text: "Four KiB of `a` are in the page cache. A place on the disk is reserved, none is allocated: that waits until write-back. The name of `a` is in the running transaction.",
      when: said("a"),
      look: 4,
      claims: [
        { ask: cells("page", "D"), is: 1 },
        { ask: count("Reserved"), is: 1 },
        { ask: count("Allocated"), is: 0 },
        { ask: cells("jbd", "running"), is: 1 },
      ],
    },
    {
      text: "`b` was made and written too, and `fsync` of `b` begins. It writes back the page of `b` alone, and allocates a block for it.",
      when: event("Allocated"),
      look: 3,
      claims: [
        { ask: cells("page", "W"), is: 1 },
        { ask: cells("page", "D"), is: 1 },
        { ask: count("WbStart"), is: 1 },
      ],
    },
    {
      text: "The data of `b` is with the drive. Now the transaction is locked: who changes metadata from here on joins the next one.",
      when: LOCKED,
      look: 4,
      claims: [
        { ask: cells("jbd", "locked"), is: 1 },
        { ask: cells("lba", "V"), is: 1 },
      ],
    },
    {
      text: "Ordered mode would write here what has to come before the metadata. With the defaults of today nothing is on that list: no write-back begins.",
      when: FLUSHING,
      look: 4,
      claims: [
        { ask: cells("jbd", "flush"), is: 1 },
        { ask: count("WbStart", "", FLUSHING, COMMITTING), is: 0 },
      ],
    },
    {
      text: "The transaction goes to the journal: a descriptor, and a copy of each metadata block that it changed, {blocks} blocks in all. The names of `a` and of `b` are in these copies.",
      when: before(RECORD),
      look: 4,
      figures: { blocks: count("JWrite", "", COMMITTING, RECORD) },
      claims: [
        { ask: cells("jbd", "commit"), is: 1 },
        { ask: count("JWrite", "Descriptor"), is: 1 },
        { ask: count("JWrite", "Commit"), is: 0 },
        { ask: mayBe("b", "absent", "machine"), is: "yes" },
        { ask: lost({ record: 2 }, "cut", "machine"), is: "always" },
      ],
    },
    {
      text: "A FLUSH makes durable what the drive took so far. The commit record is not among it. A cut still undoes everything in this transaction.",
      when: event("FlushDone"),
      look: 6,
      claims: [
        { ask: cells("jbd", "record"), is: 1 },
        { ask: cells("lba", "V"), is: 0 },
        { ask: lost({ record: 2 }, "cut", "machine"), is: "always" },
      ],
    },
    {
      text: "The commit record goes by FUA: done means durable. With it the whole transaction counts, both names included. The blocks go to their own places later.",
      when: FINISHED,
      look: 4,
      claims: [
        { ask: cells("jbd", "finished"), is: 1 },
        { ask: rung(2), is: "durable" },
        { ask: count("Checkpointed"), is: 0 },
        { ask: order(FINISHED, returned("fsync")), is: "yes" },
      ],
    },
    {
      text: "`fsync` of `b` has returned. The page of `a` has been dirty all along.",
      when: said("b"),
      look: 3,
      figures: { here: file("a", "machine") },
      claims: [
        { ask: cells("page", "D"), is: 1 },
        { ask: lost({ ack: "b" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "a" }, "cut", "ext4"), is: "sometimes" },
        { ask: mayBe("a", "zeros 4096", "ext4"), is: "yes" },
      ],
      predict: {
        question: "The power is cut. What is `a` on this machine?",
        ask: file("a", "machine"),
        options: [
          { text: "Absent", is: ["absent"] },
          { text: "There, and empty", is: ['""'] },
          { text: "There, with its bytes", is: ['"A"*4096'] },
        ],
        show: { die: "cut", by: "ext4" },
        then: "`a` is {here}. Its name came along with `b`, its bytes did not. ext4 would also allow its full length, with zeros.",
      },
    },
    {
      text: "Mounted with `dioread_lock`, ext4 never shows a block that is new before its data: for `a`, full length and zeros are out. The file may still be empty.",
      when: said("b"),
      look: 4,
      run: { knobs: { mount: "dioread_lock" } },
      claims: [
        { ask: mayBe("a", "zeros 4096", "ext4:dioread_lock"), is: "no" },
        { ask: mayBe("a", '""', "ext4:dioread_lock"), is: "yes" },
      ],
    },
    {
      text: "With `nodelalloc` the block of `a` is allocated in the call of `write`. So its data is on the list, and the commit writes it first. This is what ordered once meant.",
      when: COMMITTING,
      look: 4,
      run: { knobs: { mount: "nodelalloc" } },
      claims: [
        { ask: count("WbStart", "", FLUSHING, COMMITTING), is: 1 },
        { ask: order(event("Allocated"), returned("write")), is: "yes" },
        { when: said("b"), ask: file("a", "machine"), is: '"A"*4096' },
        { when: said("b"), ask: file("a", "ext4:nodelalloc"), is: '"A"*4096' },
      ],
    },
    {
      text: "With `data=journal` the data goes through the journal too: {blocks} blocks instead. All is in one order, and `a` is whole when `b` is. Each byte is written twice for it.",
      when: said("b"),
      look: 4,
      run: { knobs: { mount: "journal" } },
      figures: { blocks: count("JWrite", "", COMMITTING, RECORD) },
      claims: [
        { ask: count("JWrite", "", COMMITTING, RECORD), is: 6 },
        { ask: file("a", "ext4:journal"), is: '"A"*4096' },
        { ask: file("a", "machine"), is: '"A"*4096' },
      ],
    },
    {
      text: "With `data=writeback` nothing is ordered. Where `nodelalloc` or `dioread_lock` stands beside it, a file may even show what somebody else wrote there before. The model allows that.",
      when: said("b"),
      look: 4,
      run: { knobs: { mount: "writeback" } },
      claims: [
        { ask: other("a", ['""', "zeros 4096", '"A"*4096'], "ext4:writeback"), is: "yes" },
        { ask: mayBe("a", "zeros 4096", "ext4:writeback"), is: "yes" },
      ],
    },
  ],
};

const THIRD_DONE = event("RqDone", "request 3");
const SECOND_DONE = event("RqDone", "request 2");

export const requests: Lesson = {
  id: "requests",
  title: "Merging and reordering",
  question: "Three places of a file were written. In which order do they reach the drive?",
  script: `durable { f = zeros 128Ki }
pwrite f "Z"*4096 @126976
pwrite f "A"*4096 @0
pwrite f "N"*64Ki @32768
ack "written"
fsync f
ack "synced"
`,
  steps: [
    {
      text: "The program wrote the end of the file first, then its beginning, then sixteen pages in the middle: {pages} dirty pages.",
      when: said("written"),
      look: 3,
      figures: { pages: cells("page", "D") },
      claims: [{ ask: cells("page", "D"), is: 18 }],
    },
    {
      text: "Write-back goes through the file by page number, not by age. The sixteen neighbours are on neighbouring blocks and become one bio: {pages} pages, {bios} bios.",
      when: event("Plugged", "", 3),
      look: 5,
      figures: { pages: cells("page", "W"), bios: count("Bio") },
      claims: [
        { ask: count("Bio"), is: 3 },
        { ask: count("Bio", "write 16"), is: 1 },
        { ask: order(event("Bio", "write 1 "), event("Bio", "write 16")), is: "yes" },
      ],
    },
    {
      text: "All three requests are with the drive at once, each in a slot of its own. From here on the drive chooses.",
      when: event("Dispatched", "write", 3),
      look: 5,
      claims: [
        { ask: cells("q", "D"), is: 3 },
        { ask: count("CacheIn"), is: 0 },
      ],
    },
    {
      text: "The third request, one page, is done before the second, which has sixteen. The drive has Z and A; N is on its way.",
      when: THIRD_DONE,
      look: 6,
      claims: [
        { ask: order(THIRD_DONE, SECOND_DONE), is: "yes" },
        { ask: cells("q", "D"), is: 1 },
        { ask: rung(1), is: "device" },
        { ask: rung(3), is: "cached" },
      ],
      predict: {
        question: "The drive has reported Z done. Is it lost in a cut now, on this machine?",
        ask: lost({ record: 1 }, "cut", "machine"),
        options: [
          { text: "Never: the drive said done", is: ["never"] },
          { text: "Sometimes", is: ["sometimes"] },
          { text: "Always", is: ["always"] },
        ],
        show: { die: "cut", by: "ext4" },
        then: "Done means that the drive has it, in its cache. A crash of the kernel leaves it there; after a cut each block may be old or new.",
      },
    },
    {
      text: "All three are done, and the FLUSH starts behind them. A FLUSH covers what was done when it started; the file system has waited for that.",
      when: event("FlushStart"),
      look: 5,
      claims: [
        { ask: order(SECOND_DONE, event("FlushStart")), is: "yes" },
        { ask: cells("lba", "V"), is: 18 },
        { ask: lost({ record: 1 }, "cut", "ext4"), is: "sometimes" },
        { ask: lost({ record: 3 }, "cut", "ext4"), is: "sometimes" },
      ],
    },
    {
      text: "`fsync` has returned: {writes} writes, {flushes} FLUSH, and no order among the writes was ever promised. Until then any mixture of old and new blocks was possible.",
      when: said("synced"),
      look: 6,
      figures: { writes: writes(START, END), flushes: flushes(START, END) },
      claims: [
        { ask: lost({ ack: "synced" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "synced" }, "cut", "posix"), is: "never" },
        { ask: writes(START, END), is: 3 },
      ],
    },
    {
      text: "A scheduler stands between the requests and the drive: `mq-deadline` takes them in and sorts them by sector. The requests are the same {writes}, and the promise is the same: none before the sync returns.",
      when: called("fsync"),
      look: 5,
      run: { knobs: { scheduler: "mq-deadline" } },
      figures: { writes: writes(START, END) },
      claims: [
        { ask: count("Queued", "", START, END), is: 3 },
        { ask: writes(START, END), is: 3 },
        { ask: lost({ ack: "written" }, "cut", "ext4"), is: "sometimes" },
        { when: said("synced"), ask: lost({ ack: "synced" }, "cut", "ext4"), is: "never" },
      ],
    },
  ],
};
