// What the page holds packed: gzip, written with signs that mean nothing to HTML.
//
// Invariant: what was cut off, changed or made longer is refused; nothing of it is given.
//
// The text is the number of bytes, a space, and two signs for each 13 bits, the low ones first. A
// sign is one of the 91 that are left of `!` to `~` without `(`, `:` and `<`. `../build.mjs` packs.

/** The bytes of a text; an error says what is wrong with it. */
export async function unpack(text: string): Promise<ArrayBuffer> {
  if (typeof DecompressionStream !== "function") throw new Error("this browser lacks DecompressionStream");
  const packed = new Blob([bytesOf(text.trim())]).stream();
  return new Response(packed.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const signs = text.indexOf(" ") + 1;
  const length = Number(text.slice(0, signs));
  if (!(length > 0) || text.length - signs !== 2 * Math.ceil((8 * length) / 13)) throw new Error("it is cut off");
  const bytes = new Uint8Array(length);
  let [held, bits, at] = [0, 0, 0];
  for (let i = signs; i < text.length; i += 2) {
    held |= (91 * valueOf(text.charCodeAt(i)) + valueOf(text.charCodeAt(i + 1))) << bits;
    for (bits += 13; bits >= 8 && at < length; bits -= 8, held >>>= 8) bytes[at++] = held;
  }
  return bytes;
}

function valueOf(sign: number): number {
  if (sign < 33 || sign > 126 || sign === 40 || sign === 58 || sign === 60) throw new Error("it is damaged");
  return sign - 33 - Number(sign > 40) - Number(sign > 58) - Number(sign > 60);
}
