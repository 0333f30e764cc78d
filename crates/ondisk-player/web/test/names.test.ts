// Numbers get the names that the run itself gave them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { marksOf, nearest } from "../src/marks.ts";
import { runTimeline } from "../src/runs.ts";
import { readTape } from "../src/tape.ts";
import { event, timeline } from "./timelines.ts";

const call = (i: number, op: number, m: string) => event(i, "Call", [], { op, m });
const ret = (i: number, op: number, m: string) => event(i, "Ret", [], { op, m });

const RUN = runTimeline("run", readTape(timeline([
  call(1, 1, 'openat("new", O_RDWR|O_CREAT)'),
  event(2, "Lookup", [], { op: 1, m: "in 2: not there" }),
  event(3, "Handle", [], { op: 1, m: "transaction 1: Create 4" }),
  ret(4, 1, 'openat("new", O_RDWR|O_CREAT) = 3'),
  call(5, 2, 'openat(".", O_RDONLY|O_DIRECTORY)'),
  ret(6, 2, 'openat(".", O_RDONLY|O_DIRECTORY) = 4'),
  event(7, "Buffered", [["buf/1", "", "B2"]], { m: "2 bytes more, 2 held of file 1" }),
  call(8, 3, "write(3, …, 2)"),
  event(9, "Dirtied", [["page/4/0", "", "D1"]], { op: 3, ver: 1, m: "page 0 of 4" }),
  ret(10, 3, "write(3, …, 2) = 2"),
  call(11, 4, 'rename("new", "old")'),
  event(12, "Lookup", [], { op: 4, m: "in 2: 4" }),
  event(13, "Lookup", [], { op: 4, m: "in 2: 3" }),
  ret(14, 4, 'rename("new", "old") = 0'),
  call(15, 5, "fsync(3)"),
  event(16, "JWrite", [], { op: 5, m: "transaction 1: Commit at 6" }),
  event(17, "Dispatched", [], { op: 5, m: "request 2 in slot 0: write 1 at 6 with FUA" }),
  event(18, "RqDone", [], { op: 5, m: "request 1" }),
  event(19, "RqDone", [], { op: 5, m: "request 2" }),
  event(20, "FlushDone", [], { op: 5, m: "request 3" }),
  ret(21, 5, "fsync(3) = 0"),
  event(22, "Ack", [], { m: 'ack "old is new"' }),
  call(23, 6, 'openat("none", O_RDWR)'),
  ret(24, 6, 'openat("none", O_RDWR) = -2 ENOENT'),
  call(25, 7, "write(9, …, 2)"),
  event(26, "Dirtied", [["page/9/3", "", "D2"]], { ver: 2, m: "page 3 of 9" }),
  event(27, "Odd", [], { m: "<b>odd</b>" }),
  event(28, "Cut"),
  event(29, "Settled", [], { m: "block 6: durable" }),
])));

test("an inode has the name that it had at that moment", () => {
  const { names } = RUN;
  assert.equal(names.inode(4, 9), "new");
  assert.equal(names.inode(4, 14), "old");
  assert.equal(names.inode(4), "old");
  assert.equal(names.inode(9), "inode 9");
  assert.equal(names.cell("page/4/0", 9), "page 0 of new");
  assert.equal(names.cell("nand/2/7"), "page 7 of erase block 2");
  assert.equal(names.cell("jbd/2"), "transaction 2 of the journal");
});

test("where a server looks names up, the first write tells the file, and a rename is followed", () => {
  const { names } = runTimeline("run", readTape(timeline([
    call(1, 1, 'openat("log", O_RDWR|O_CREAT)'),
    ret(2, 1, 'openat("log", O_RDWR|O_CREAT) = 3'),
    call(3, 2, "write(3, …, 2)"),
    event(4, "Dirtied", [["page/3/0", "", "D1"]], { op: 2, ver: 1, m: "page 0 of 3" }),
    ret(5, 2, "write(3, …, 2) = 2"),
    call(6, 3, 'openat("next", O_RDWR|O_CREAT)'),
    ret(7, 3, 'openat("next", O_RDWR|O_CREAT) = 4'),
    call(8, 4, 'rename("next", "last")'),
    ret(9, 4, 'rename("next", "last") = 0'),
    call(10, 5, "write(4, …, 2)"),
    event(11, "Dirtied", [["page/5/0", "", "D2"]], { op: 5, ver: 2, m: "page 0 of 5" }),
    ret(12, 5, "write(4, …, 2) = 2"),
  ])));
  assert.equal(names.inode(3), "log");
  assert.equal(names.inode(5), "last");
  assert.equal(names.event(4), "Page 0 of log is dirty: its new bytes are in the page cache, and nowhere else.");
});

test("a buffer is that of the file that was opened then; a directory has none", () => {
  assert.equal(RUN.names.buffer(1), "new");
  assert.equal(RUN.names.buffer(2), "buffer 2");
});

test("a call names the file behind its descriptor", () => {
  assert.equal(RUN.names.call(8), "write(new, …, 2)");
  assert.equal(RUN.names.call(25), "write(9, …, 2)");
});

test("events are sentences", () => {
  const { names } = RUN;
  assert.equal(names.event(0), "Nothing has happened yet.");
  assert.equal(names.event(7), "2 bytes more into the program's own buffer of new; it holds 2. The system has not seen them.");
  assert.equal(names.event(9), "Page 0 of new is dirty: its new bytes are in the page cache, and nowhere else.");
  assert.equal(names.event(15), "The program calls fsync(new).");
  assert.equal(names.event(21), "fsync(new) returns = 0.");
  assert.equal(names.event(22), 'The program tells the world: "old is new".');
  assert.equal(names.event(27), "Odd: <b>odd</b>.");
  assert.equal(names.event(29), "Block 6 is durable. It survives a power cut.");
  assert.equal(names.event(30), "");
});

test("a timeline alone tells its calls, acknowledgements and deaths", () => {
  const { info } = RUN;
  assert.equal(info.calls.length, 7);
  assert.deepEqual(info.calls[2], { task: 0, line: 0, from: 8, to: 10, words: "write(3, …, 2)", answer: " = 2" });
  assert.equal(info.calls[6]?.to, 0);
  assert.deepEqual(info.acks.map((ack) => [ack.event, ack.text]), [[22, "old is new"]]);
  assert.deepEqual(info.deaths, [{ event: 28, how: "cut" }]);
});

test("barriers are syncs that returned, FLUSH and FUA done, and commit records", () => {
  const marks = marksOf(RUN);
  assert.deepEqual(marks.barrier, [16, 19, 20, 21]);
  assert.deepEqual(marks.ack, [22]);
  assert.deepEqual(marks.death, [28]);
  assert.deepEqual(marks.call, [1, 5, 8, 11, 15, 23, 25]);
});

test("the nearest is never the one that is there", () => {
  assert.equal(nearest([2, 5, 9], 5, 1), 9);
  assert.equal(nearest([2, 5, 9], 5, -1), 2);
  assert.equal(nearest([2, 5, 9], 9, 1), null);
  assert.equal(nearest([2, 5, 9], 2, -1), null);
  assert.equal(nearest([2, 5, 9], 4, 1), 5);
  assert.equal(nearest([2, 5, 9], 6, -1), 5);
  assert.equal(nearest([], 6, -1), null);
});
