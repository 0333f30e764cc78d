// Timelines made from nothing but their format's page: long ones, and hostile ones.
//
// Invariant: the same arguments give the same text. What is not said to be hostile keeps every rule
// of docs/format/timeline.md, its digest included; it is written here a second time on purpose.

/** Pairs of words, high before low: four lanes of a line, the line's digest, the digest of all. */
const LANES = 0;
const LINE = 8;
const ALL = 12;

/** `pairs[at]` becomes itself exclusive-or the value, times the factor, by wrapping 64-bit words. */
function multiply(pairs, at, high, low, fh, fl) {
  const ah = pairs[at] ^ high;
  const al = pairs[at + 1] ^ low;
  const [a0, a1, b0, b1] = [al & 0xffff, al >>> 16, fl & 0xffff, fl >>> 16];
  const first = (Math.imul(a1, b0) >>> 0) + ((Math.imul(a0, b0) >>> 0) >>> 16);
  const second = (Math.imul(a0, b1) >>> 0) + (first & 0xffff);
  const carry = Math.imul(a1, b1) + (first >>> 16) + (second >>> 16);
  pairs[at] = Math.imul(ah, fl) + Math.imul(al, fh) + carry;
  pairs[at + 1] = Math.imul(al, fl);
}

function rotate(pairs, at, by) {
  const [high, low] = [pairs[at], pairs[at + 1]];
  pairs[at] = (high << by) | (low >>> (32 - by));
  pairs[at + 1] = (low << by) | (high >>> (32 - by));
}

function shift(pairs, at, by) {
  pairs[at + 1] ^= (pairs[at + 1] >>> by) | (pairs[at] << (32 - by));
  pairs[at] ^= pairs[at] >>> by;
}

/** One number more in the running digest at `at`. */
function add(pairs, at, high, low) {
  const sum = ((pairs[at + 1] ^ low) >>> 0) + 0x7f4a7c15;
  pairs[at] = (pairs[at] ^ high) + 0x9e3779b9 + (sum > 0xffffffff ? 1 : 0);
  pairs[at + 1] = sum;
  shift(pairs, at, 30);
  multiply(pairs, at, 0, 0, 0xbf58476d, 0x1ce4e5b9);
  shift(pairs, at, 27);
  multiply(pairs, at, 0, 0, 0x94d049bb, 0x133111eb);
  shift(pairs, at, 31);
  multiply(pairs, at + 2, high, low, 0xd6e8feb8, 0x6659fd93);
  rotate(pairs, at + 2, 29);
}

function addLine(pairs, bytes, from, to) {
  pairs.set([0, 1, 0, 2, 0, 3, 0, 4, 0, to - from, 0, 0]);
  let lane = LANES;
  for (let at = from; at < to; at += 8) {
    const word = (i) => {
      if (i + 4 <= to) return bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
      let rest = 0;
      for (let k = i; k < to; k++) rest |= bytes[k] << (8 * (k - i));
      return rest;
    };
    multiply(pairs, lane, word(at + 4), word(at), 0x9fb21c65, 0x1e98df25);
    rotate(pairs, lane, 31);
    lane = (lane + 2) % LINE;
  }
  for (let i = LANES; i < LINE; i += 2) add(pairs, LINE, pairs[i], pairs[i + 1]);
  add(pairs, ALL, pairs[LINE], pairs[LINE + 1]);
  add(pairs, ALL, pairs[LINE + 2], pairs[LINE + 3]);
}

/** Takes lines, and says at the end what the last line says of them. */
class Writer {
  bytes = Buffer.allocUnsafe(1 << 16);
  length = 0;
  pairs = new Int32Array(16);

  line(text) {
    if (this.bytes.length - this.length < 4 * text.length + 1) {
      this.bytes = Buffer.concat([this.bytes], 2 * this.bytes.length + 4 * text.length);
    }
    const from = this.length;
    this.length += this.bytes.write(`${text}\n`, from);
    addLine(this.pairs, this.bytes, from, this.length - 1);
  }

  end(events) {
    const words = [...this.pairs.subarray(ALL)];
    const digest = words.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
    const last = Buffer.from(`{"end":${events},"digest":"${digest}"}\n`);
    return Buffer.concat([this.bytes.subarray(0, this.length), last]);
  }
}

/** A timeline of these lines, the first and all before the last. */
export function ended(lines, events) {
  const writer = new Writer();
  for (const line of lines) writer.line(line);
  return writer.end(events).toString();
}

/** Numbers from a seed, the same everywhere. */
export function numbers(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const HEAD = {
  ondisk: "timeline",
  v: 1,
  seed: "7",
  config: { fs: "ext4", mount: "ordered", scheduler: "none", drive: "volatile", profile: "c" },
  script: "write f \"ABC\"\nfsync f\n",
  every: 256,
};

/** What happens to one page on its way down: layer, kind, place of its cell, what it then holds. */
const WAY = [
  [3, "Dirtied", "page", "D"],
  [3, "WbStart", "page", "W"],
  [5, "Plugged", "q", "P"],
  [5, "Dispatched", "q", "D"],
  [6, "CacheIn", "lba", "V"],
  [5, "RqDone", "q", ""],
  [3, "WbDone", "page", "C"],
  [6, "Programmed", "lba", "S"],
];

/** The bytes of a timeline of `events` events: pages of one file, picked by `seed`, go down again and again. */
export function long(events, seed = 7) {
  const pick = numbers(seed);
  const held = new Map();
  const lines = new Writer();
  lines.line(JSON.stringify({ ...HEAD, seed: String(seed) }));
  let page = 0;
  let version = 0;
  for (let i = 1; i <= events; i++) {
    const [l, k, place, state] = WAY[(i - 1) % WAY.length];
    if (k === "Dirtied") {
      page = pick(64);
      version += 1;
      lines.line(
        `{"blob":"${version}","len":3,"b64":"QUJD","ino":12,"page":${page},"at":0,"op":${version}}`,
      );
    }
    const cell = place === "page" ? `page/12/${page}` : `${place}/${place === "q" ? 1 : 2048 + page}`;
    const now = state === "" ? "" : `${state}${version}`;
    const old = held.get(cell) ?? "";
    held.set(cell, now);
    const cause = i > 1 ? `"c":${i - 1},` : "";
    lines.line(
      `{"i":${i},"t":${i * 300},"l":${l},"k":"${k}",${cause}"op":${version},"ver":${version},` +
        `"d":[["${cell}","${old}","${now}"]]}`,
    );
  }
  return lines.end(events);
}

/** A short timeline, as lines to be changed. */
export function short() {
  return long(64).toString().trimEnd().split("\n");
}

const MARK = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";

/** Markup wherever a text may stand: paths, words, bytes, kinds, the script, the configuration. */
export function markup() {
  const b64 = Buffer.from(MARK).toString("base64");
  const lines = [
    { ...HEAD, config: { ...HEAD.config, fs: MARK }, script: `write "${MARK}" "${MARK}"` },
    { i: 1, t: 1, l: 2, k: "Call", op: 1, m: `openat("${MARK}", O_CREAT)` },
    { i: 2, t: 2, l: 2, k: "Ret", c: 1, op: 1, m: `openat("${MARK}", O_CREAT) = 3` },
    { i: 3, t: 3, l: 2, k: "Call", c: 2, op: 2, m: `write(3, ${MARK}, 3)` },
    { blob: "1", len: MARK.length, b64, ino: 3, page: 0, at: 0, op: 2 },
    { i: 4, t: 4, l: 3, k: "Dirtied", c: 3, op: 2, ver: 1, d: [["page/3/0", "", "D1"]], m: MARK },
    { i: 5, t: 5, l: 3, k: MARK, c: 4, op: 2, m: MARK },
    { i: 6, t: 6, l: 0, k: "Ack", c: 5, m: MARK },
  ];
  return ended(lines.map((line) => JSON.stringify(line)), 6);
}

/** Files that are refused: what is wrong, the content, and a word that the message has to have. */
export function hostile() {
  const lines = short();
  const pick = numbers(11);
  const junk = Buffer.from(Array.from({ length: 65536 }, () => pick(256)));
  const cut = lines.slice(0, 40).join("\n");
  const newer = [lines[0].replace('"v":1', '"v":2'), ...lines.slice(1)];
  const wrong = lines.map((line) => line.replace('[["q/1","P2","D2"]]', '[["q/1","P9","D2"]]'));
  const other = lines.map((line) => line.replace('"b64":"QUJD"', '"b64":"QUJE"'));
  const endless = '{"i":1,"t":1,"l":3,"k":"Dirtied","d":[["page/1/0-9007199254740991","","D1+"]]}';
  return [
    ["cut off between two lines", `${cut}\n`, /cut off/],
    ["cut off inside a line", `${cut}\n${lines[40].slice(0, 30)}`, /cut off/],
    ["of a newer version", `${newer.join("\n")}\n`, /version 2/],
    ["with cells that do not hold what it says", `${wrong.join("\n")}\n`, /line \d+/i],
    ["with other bytes than its digest says", `${other.join("\n")}\n`, /changed|digest/],
    ["of binary junk", junk, /no timeline/],
    ["of nothing at all", "", /no timeline|empty/],
    ["of another kind", '{"ondisk":"recording","v":1}\n', /no timeline/],
    ["with brackets without end", `${lines[0]}\n${"[".repeat(200_000)}\n`, /line 2/i],
    ["with cells without end", `${lines[0]}\n${endless}\n`, /line 2/i],
    ["of sixty megabytes in one line", Buffer.alloc(60 * 1024 * 1024, "x"), /line|long|large|timeline/],
  ];
}
