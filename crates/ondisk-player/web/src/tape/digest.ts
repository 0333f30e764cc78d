// The digest of a timeline: the hash of the simulation's `digest` module, in halves of 32 bits.
//
// Invariant: the same bytes give the same two numbers as there. It shows that a line was changed by
// mistake, and protects from nobody who means harm.

/** What the multiplication below gives: the halves of the product. */
let high = 0;
let low = 0;

/** Multiplies two numbers of 64 bits, and keeps the lower 64. */
function multiply(ah: number, al: number, bh: number, bl: number): void {
  const a0 = al & 0xffff;
  const a1 = al >>> 16;
  const b0 = bl & 0xffff;
  const b1 = bl >>> 16;
  const first = a0 * b0;
  const middle = a1 * b0 + (first >>> 16);
  const other = a0 * b1 + (middle & 0xffff);
  const carry = a1 * b1 + Math.floor(middle / 65536) + Math.floor(other / 65536);
  high = (carry + Math.imul(ah, bl) + Math.imul(al, bh)) | 0;
  low = Math.imul(al, bl);
}

/** Every input bit moves about half of the output's; the answer is in `high` and `low`. */
function mix(ah: number, al: number): void {
  const sum = (al >>> 0) + 0x7f4a7c15;
  let l = sum | 0;
  let h = (ah + 0x9e3779b9 + (sum > 0xffffffff ? 1 : 0)) | 0;
  multiply(h ^ (h >>> 30), l ^ ((l >>> 30) | (h << 2)), 0xbf58476d, 0x1ce4e5b9);
  [h, l] = [high, low];
  multiply(h ^ (h >>> 27), l ^ ((l >>> 27) | (h << 5)), 0x94d049bb, 0x133111eb);
  [h, l] = [high, low];
  high = h ^ (h >>> 31);
  low = l ^ ((l >>> 31) | (h << 1));
}

/** A running digest: two numbers of 64 bits, each as two halves. */
export class Digest {
  ah = 0;
  al = 0;
  bh = 0;
  bl = 0;

  /** Adds a number behind those before. */
  add(h: number, l: number): void {
    mix(this.ah ^ h, this.al ^ l);
    [this.ah, this.al] = [high, low];
    multiply(this.bh ^ h, this.bl ^ l, 0xd6e8feb8, 0x6659fd93);
    this.bh = (high << 29) | (low >>> 3);
    this.bl = (low << 29) | (high >>> 3);
  }

  /** Adds a line, without its end: the two halves of its own hash. */
  addLine(bytes: Uint8Array): void {
    const own = hashOf(bytes);
    this.add(own.ah, own.al);
    this.add(own.bh, own.bl);
  }

  toString(): string {
    const hex = (half: number) => (half >>> 0).toString(16).padStart(8, "0");
    return hex(this.ah) + hex(this.al) + hex(this.bh) + hex(this.bl);
  }
}

/** The hash of some bytes: eight at a time, in four lanes. */
export function hashOf(bytes: Uint8Array): Digest {
  const highs = [0, 0, 0, 0];
  const lows = [1, 2, 3, 4];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const whole = bytes.length & ~7;
  let lane = 0;
  const step = (h: number, l: number) => {
    multiply((highs[lane] ?? 0) ^ h, (lows[lane] ?? 0) ^ l, 0x9fb21c65, 0x1e98df25);
    highs[lane] = (high << 31) | (low >>> 1);
    lows[lane] = (low << 31) | (high >>> 1);
    lane = (lane + 1) & 3;
  };
  for (let at = 0; at < whole; at += 8) step(view.getInt32(at + 4, true), view.getInt32(at, true));
  if (whole < bytes.length) {
    const rest = new Uint8Array(8);
    rest.set(bytes.subarray(whole));
    const word = new DataView(rest.buffer);
    step(word.getInt32(4, true), word.getInt32(0, true));
  }
  const digest = new Digest();
  digest.al = bytes.length;
  for (let n = 0; n < 4; n += 1) digest.add(highs[n] ?? 0, lows[n] ?? 0);
  return digest;
}
