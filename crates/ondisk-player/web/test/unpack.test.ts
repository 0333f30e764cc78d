// What is packed comes out as it was; what was damaged does not come out.
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { test } from "node:test";
import { unpack } from "../src/unpack.ts";

const SIGNS = [...Array(94).keys()].map((n) => String.fromCharCode(33 + n)).filter((sign) => !"(:<".includes(sign));

/** As the head of `unpack.ts` has it, by one large number. */
function packed(bytes: Uint8Array): string {
  let all = 0n;
  for (const byte of [...bytes].reverse()) all = (all << 8n) | BigInt(byte);
  const pairs = Array.from({ length: Math.ceil((8 * bytes.length) / 13) }, (_, n) => Number((all >> BigInt(13 * n)) & 8191n));
  return `${bytes.length} ${pairs.map((pair) => `${SIGNS[Math.floor(pair / 91)]}${SIGNS[pair % 91]}`).join("")}`;
}

const TEXT = "“Is it on disk?” ".repeat(40) + [...Array(997).keys()].map((n) => (n * n * 31) % 1009).join("");

test("what is packed comes out", async () => {
  assert.equal(SIGNS.length, 91);
  for (const length of [0, 1, 2, 3, 12, 13, 14, 500, TEXT.length]) {
    const text = TEXT.slice(0, length);
    assert.equal(new TextDecoder().decode(await unpack(`\n${packed(gzipSync(text))}\n`)), text);
  }
});

test("what is cut off, longer, or another sign is refused", async () => {
  const whole = packed(gzipSync(TEXT));
  const middle = whole.length >> 1;
  const other = whole[middle] === "a" ? "b" : "a";
  const broken = [
    "", " ", "0 ", "12", whole.slice(0, -2), `${whole}!!`, whole.replace(/^\d+ /, ""), whole.slice(0, -4) + "!!!!",
    ...[other, "<", "(", ":", "\x7f", "é"].map((sign) => whole.slice(0, middle) + sign + whole.slice(middle + 1)),
  ];
  for (const text of broken) await assert.rejects(unpack(text), Error, text.slice(0, 20));
});
