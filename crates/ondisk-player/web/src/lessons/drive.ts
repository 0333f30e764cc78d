// Lessons about the drive: its cache, and drives that lie.

import {
  answer, called, cells, count, event, file, flushes, type Lesson, LOST, lost, order, returned, rung, said, START, time,
} from "./lesson.ts";

export const driveCache: Lesson = {
  id: "drive-cache",
  title: "The drive's cache, and capacitors",
  question: "The drive says that a write is done. Where are the bytes?",
  script: `durable { page = "old" }
pwrite page "new" @0
fdatasync page
ack "new is stored"
`,
  steps: [
    {
      text: "The page is in the page cache, and the drive knows nothing of it. A crash of the kernel takes it, and so does a cut.",
      when: returned("pwrite64"),
      look: 3,
      claims: [
        { ask: cells("lba"), is: 0 },
        { ask: rung(1), is: "cached" },
        { ask: lost({ record: 1 }, "crash", "machine"), is: "always" },
        { ask: lost({ record: 1 }, "cut", "machine"), is: "always" },
      ],
    },
    {
      text: "Write done, says the drive, {took} after it was asked. It has the block in its own memory. This rung survives a crash of the kernel, since the drive has power still.",
      when: event("RqDone", "request 2"),
      look: 6,
      figures: { took: time(event("Dispatched", "write"), event("RqDone", "request 2")), may: file("page", "machine") },
      claims: [
        { ask: cells("lba", "V"), is: 1 },
        { ask: rung(1), is: "device" },
        { ask: lost({ record: 1 }, "crash", "machine"), is: "never" },
      ],
      predict: {
        question: "The power is cut. Is the new page lost, on this machine?",
        ask: lost({ record: 1 }, "cut", "machine"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "`page` may be {may} on this machine. What was in the drive's memory is gone, unless it happened to write that down before.",
      },
    },
    {
      text: "FLUSH: the drive writes to the flash what it holds, enters it in its map, and only then answers. That took {took}.",
      when: event("FlushDone"),
      look: 6,
      figures: { took: time(event("FlushStart"), event("FlushDone")) },
      claims: [
        { ask: cells("lba", "V"), is: 0 },
        { ask: cells("lba", "S"), is: 1 },
        { ask: count("Programmed", "", event("FlushStart"), event("FlushDone")), is: 1 },
        { ask: rung(1), is: "durable" },
        { ask: order(event("Programmed"), event("FlushDone")), is: "yes" },
      ],
    },
    {
      text: "`fdatasync` returns behind the FLUSH. That it asks for one is what makes it a sync.",
      when: said("new is stored"),
      look: 6,
      claims: [
        { ask: flushes(called("fdatasync"), returned("fdatasync")), is: 1 },
        { ask: lost({ ack: "new is stored" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "new is stored" }, "cut", "posix"), is: "never" },
      ],
    },
    {
      text: "A drive with capacitors has power enough to empty its cache when the mains fail. What it took is as good as stored.",
      when: event("RqDone", "request 2"),
      look: 6,
      run: { knobs: { drive: "capacitor" } },
      figures: { may: file("page", "machine") },
      claims: [
        { ask: rung(1), is: "durable" },
        { ask: count("FlushStart"), is: 0 },
      ],
      predict: {
        question: "The same moment on such a drive. Does a cut take the new page, on this machine?",
        ask: lost({ record: 1 }, "cut", "machine"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "`page` is {may}, before any FLUSH.",
      },
    },
    {
      text: "A FLUSH has little to do there: it took {took}. This is why a sync is cheap on drives made for servers.",
      when: said("new is stored"),
      look: 6,
      run: { knobs: { drive: "capacitor" } },
      figures: { took: time(event("FlushStart"), event("FlushDone")) },
      claims: [
        { ask: count("Programmed", "", event("FlushStart"), event("FlushDone")), is: 0 },
        { ask: flushes(START, said("new is stored")), is: 1 },
      ],
    },
    {
      text: "The sync is needed as ever. Before it the page is in the page cache, where no capacitor of a drive reaches.",
      when: called("fdatasync"),
      look: 3,
      run: { knobs: { drive: "capacitor" } },
      claims: [
        { ask: cells("lba"), is: 0 },
        { ask: lost({ record: 1 }, "cut", "machine"), is: "always" },
        { ask: lost({ record: 1 }, "crash", "machine"), is: "always" },
      ],
    },
  ],
};

export const lyingDrive: Lesson = {
  id: "lying-drive",
  title: "A drive that lies",
  question: "The program does everything right, and the drive answers each FLUSH without obeying. Who notices?",
  script: `open log create
write log "record 1"
flush log
fsync log
fsyncdir .
ack "record 1 is stored"
`,
  knobs: { drive: "lies" },
  steps: [
    {
      text: "The FLUSH was answered after {took}. All {cached} blocks are in the drive's cache as before, and none is on the flash.",
      when: event("FlushDone"),
      look: 6,
      figures: { took: time(event("FlushStart"), event("FlushDone")), cached: cells("lba", "V") },
      claims: [
        { ask: cells("lba", "S"), is: 0 },
        { ask: count("Programmed"), is: 0 },
      ],
    },
    {
      text: "`fsync` answered {answer}. The program has flushed, synced the file and synced the directory, and says that the record is stored.",
      when: said("record 1 is stored"),
      look: 1,
      figures: { answer: answer("fsync") },
      claims: [
        { ask: answer("fsync"), is: "0" },
        { ask: answer("fsync", 2), is: "0" },
        { ask: rung(1), is: "device" },
      ],
      predict: {
        question: "The kernel crashes and the machine is reset. Is the record lost?",
        ask: lost({ ack: "record 1 is stored" }, "crash", "ext4"),
        options: LOST,
        show: { die: "crash", by: "ext4" },
        then: "The drive has power all the time, and hands back what it took. Who tests with a reset button finds nothing.",
      },
    },
    {
      text: "The same moment, and this time the plug is pulled.",
      when: said("record 1 is stored"),
      look: 6,
      figures: { may: file("log", "ext4") },
      claims: [{ ask: lost({ ack: "record 1 is stored" }, "cut", "machine"), is: "sometimes" }],
      predict: {
        question: "The power is cut. Is the record lost, on ext4 over this drive?",
        ask: lost({ ack: "record 1 is stored" }, "cut", "ext4"),
        options: LOST,
        show: { die: "cut", by: "ext4" },
        then: "`log` may be {may}, as if nobody had ever synced. No call can tell a program of this.",
      },
    },
    {
      text: "The same program on a drive that obeys: the FLUSH takes {took}, and the record is durable when it is acknowledged.",
      when: said("record 1 is stored"),
      look: 6,
      run: { knobs: { drive: "volatile" } },
      figures: { took: time(event("FlushStart"), event("FlushDone")) },
      claims: [
        { ask: rung(1), is: "durable" },
        { ask: lost({ ack: "record 1 is stored" }, "cut", "ext4"), is: "never" },
        { ask: lost({ ack: "record 1 is stored" }, "cut", "posix"), is: "never" },
      ],
    },
  ],
};
