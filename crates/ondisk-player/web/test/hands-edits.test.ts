// What the knobs make of scripts: the text behind each change, and why some are refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as edits from "../src/view/hands/edits.ts";
import { cutUp } from "../src/view/hands/script.ts";

function text(edit: edits.Edit): string {
  assert.ok("text" in edit, "why" in edit ? edit.why : "");
  return edit.text;
}

function why(edit: edits.Edit): string {
  assert.ok("why" in edit, "text" in edit ? edit.text : "");
  return edit.why;
}

const FSYNC = 'open log create\nwrite log "r 1"; flush log   # handed down\nfsync log\nack "stored"\ncut';

test("steps are found with their place, task and block", () => {
  const script = cutUp('durable { f = "a;b#{" }\n@B pwrite f "x # y" @0; fsync f # told\nrepeat 2Ki { write g "}"; flush g }');
  const told = script.steps.map(({ line, task, verb, args, block }) => [line, task, verb, args, block]);
  assert.deepEqual(told, [
    [1, "B", "pwrite", ["f", "x # y", "@0"], -1],
    [1, "B", "fsync", ["f"], -1],
    [2, "A", "write", ["g", "}"], 0],
    [2, "A", "flush", ["g"], 0],
  ]);
  assert.deepEqual(script.blocks.map(({ times, parent }) => [times, parent]), [[2048, -1]]);
});

test("a task holds to the end of its line, and in a block to its end", () => {
  const script = cutUp("@T repeat 2 {\nflush a\n@U flush b; flush c\nflush d }\nflush e");
  assert.deepEqual(script.steps.map(({ task }) => task), ["T", "U", "U", "T", "A"]);
});

test("what is no script is cut up without a fall", () => {
  for (const odd of ['"', "}}}{{{", "repeat", "repeat {", "@", '@ ; "\\', "durable {", "\0", "#", '= | * +']) {
    assert.ok(cutUp(odd).lines.length === 1);
    for (const edit of [edits.dropFlush, edits.dropSync, edits.addDirectorySync]) assert.ok("why" in edit(odd));
    assert.equal(edits.groupSize(odd), null);
  }
});

test("a dropped step stays as a comment, and lines keep their numbers", () => {
  const dropped = edits.dropFlush(FSYNC);
  assert.equal(
    text(dropped),
    'open log create\nwrite log "r 1"  # dropped: flush log  # handed down\nfsync log\nack "stored"\ncut',
  );
  assert.equal("did" in dropped && dropped.did, "Dropped 1 flush (line 2).");
  assert.equal(text(edits.dropSync(FSYNC)).split("\n")[2], "# dropped: fsync log");
  assert.match(why(edits.dropFlush('pwrite f "a" @0')), /no flush/);
});

test("separators and braces around a dropped step are tidied, strings are not", () => {
  const drop = (line: string) => text(edits.dropFlush(line));
  assert.equal(drop("@A flush f; flush g"), "# dropped: flush f; flush g");
  assert.equal(drop('@B flush f; write f ";; ;"; flush f; cut'), '@B write f ";; ;"; cut  # dropped: flush f; flush f');
  assert.equal(drop('repeat 3 { flush f; write f "a" @7; flush f }'), 'repeat 3 { write f "a" @7 }  # dropped: flush f; flush f');
});

test("one sync instead of the other", () => {
  assert.equal(text(edits.syncBy("fsync f; fsyncdir .", "fdatasync")), "fdatasync f; fsyncdir .");
  assert.equal(text(edits.syncBy("fdatasync f", "fsync")), "fsync f");
  assert.match(why(edits.syncBy("fsync f", "fsync")), /no fdatasync/);
});

test("a directory is synced before the promise, once", () => {
  const made = text(edits.addDirectorySync(FSYNC));
  assert.equal(made.split("\n")[3], 'fsyncdir .; ack "stored"');
  assert.match(why(edits.addDirectorySync(made)), /Each new name/);
  assert.equal(text(edits.addDirectorySync('rename a/x "b c/x"')), 'rename a/x "b c/x"; fsyncdir a; fsyncdir "b c"');
  assert.match(why(edits.addDirectorySync('open log append; write log "a"')), /Each new name/);
  assert.equal(text(edits.dropDirectorySync("fsyncdir .")), "# dropped: fsyncdir .");
});

test("mode sync: an acknowledgement waits for what it speaks for", () => {
  const early = 'write a "1"; pwrite b "2" @0\nack "both"\nwrite a "3"; flush a; fsync a; ack "a" a';
  assert.equal(text(edits.mode(early, "sync")).split("\n")[1], 'flush a; fsync a; fsync b; ack "both"');
  assert.match(why(edits.mode(text(edits.mode(early, "sync")), "sync")), /All promises/);
  assert.match(why(edits.mode('write a "1"', "sync")), /Nothing is ack/);
  const named = 'write a "1"; write b "2"; ack "b" b';
  assert.equal(text(edits.mode(named, "sync")), 'write a "1"; write b "2"; flush b; fsync b; ack "b" b');
});

test("mode sync: a sync before the flush does not count, a durable write does", () => {
  assert.equal(text(edits.mode('write a "1"; fsync a; ack "x"', "sync")), 'write a "1"; fsync a; flush a; fsync a; ack "x"');
  assert.match(why(edits.mode('open a dsync; pwrite a "1" @0; ack "x"', "sync")), /All promises/);
  assert.equal(text(edits.mode('write t "1"; flush t; rename t g; ack "x"', "sync")), 'write t "1"; flush t; rename t g; fsync g; ack "x"');
});

test("mode batch: the word comes before the sync", () => {
  assert.equal(text(edits.mode(FSYNC, "batch")), 'open log create\nwrite log "r 1"; flush log   # handed down\nack "stored"; fsync log\n\ncut');
  assert.match(why(edits.mode('write a "1"; ack "x"; fsync a', "batch")), /No promise/);
});

test("mode none: no sync, and still handed to the system", () => {
  const none = text(edits.mode('write a "1"; fsync a; fsyncdir .; ack "x"', "none"));
  assert.equal(none, 'write a "1"; flush a; ack "x"  # dropped: fsync a; fsyncdir .');
  assert.match(why(edits.mode(none, "none")), /Nothing is synced/);
});

test("a group is made larger or smaller", () => {
  const batch = 'repeat 2 {\n  repeat 100 { write log "r"; flush log }\n  fsync log\n}';
  assert.equal(edits.groupSize(batch), 100);
  assert.equal(text(edits.group(batch, 10)), 'repeat 20 {\n  repeat 10 { write log "r"; flush log }\n  fsync log\n}');
  assert.match(why(edits.group(batch, 100)), /as it is/);
  assert.match(why(edits.group(batch, 0)), /1 to 10,000/);
  const own = 'repeat 50 { write log "r"; flush log; fsync log; ack "r" }';
  assert.equal(edits.groupSize(own), 1);
  assert.equal(text(edits.group(own, 10)), 'repeat 5 { repeat 10 { write log "r"; flush log }; fsync log; ack "r" }');
  assert.equal(edits.groupSize("fsync log"), null);
  assert.match(why(edits.group("fsync log", 2)), /more than once/);
});

test("syncs in a row are merged, and the word waits for the one that stays", () => {
  const three = ["1", "2", "3"].map((n) => `pwrite w "${n}" @${n}; fdatasync w; ack "${n}" w`).join("\n");
  assert.equal(
    text(edits.group(three, 2)),
    'pwrite w "1" @1  # dropped: fdatasync w\npwrite w "2" @2; fdatasync w; ack "1" w; ack "2" w\npwrite w "3" @3; fdatasync w; ack "3" w',
  );
});

test("a merge never goes over a death", () => {
  const dies = 'pwrite w "1" @0; fsync w\ncut\npwrite w "2" @1; fsync w';
  assert.match(why(edits.group(dies, 2)), /that already/);
});

test("lines are told in words", () => {
  assert.equal(edits.places([4]), "line 4");
  assert.equal(edits.places([4, 9]), "lines 4 and 9");
  assert.equal(edits.places([1, 2, 3, 4, 5, 6]), "lines 1, 2, 3, 4 and 2 more");
  assert.equal(edits.name('a "b"'), '"a \\"b\\""');
});
