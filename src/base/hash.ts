/**
 * Two hashes. `hash64` is HalfSipHash-1-3 with 64 bits of output (Aumasson, Bernstein: "SipHash: a fast short-input
 * PRF", and its reference code): keyed, so that nobody outside can choose keys that all land in one place, and made of
 * 32-bit operations, which JavaScript does fast. `ContentHash` tells two contents apart that should be equal; it is not
 * keyed and resists no attacker.
 */

/** Two 32-bit words. */
export type HashKey = readonly [number, number]

export type SipRounds = { readonly perWord: number; readonly perOutput: number }

const rounds13: SipRounds = { perWord: 1, perOutput: 3 }

/** Writes the low and the high 32 bits of the hash to `out`. Allocates nothing. */
export function hash64(bytes: Uint8Array, key: HashKey, out: Uint32Array): void {
  halfSipHash(bytes, key, rounds13, out)
}

const hashed = new Uint32Array(2)

/** Where a key lies on the ring: the high 32 bits of its hash. Unsigned. */
export function hashKeyPosition(key: Uint8Array, hashKey: HashKey): number {
  hash64(key, hashKey, hashed)
  return hashed[1] as number // two words
}

/** Any variant of HalfSipHash with 64 bits of output; the published test vectors are of 2-4. */
export function halfSipHash(bytes: Uint8Array, key: HashKey, rounds: SipRounds, out: Uint32Array): void {
  let v0 = key[0] | 0
  let v1 = key[1] ^ 0xee
  let v2 = 0x6c796765 ^ key[0]
  let v3 = 0x74656462 ^ key[1]

  const words = bytes.length >>> 2
  // One loop for whole words, the last word and the two outputs, so that the round is written once.
  for (let step = 0; step < words + 3; step++) {
    const word = step < words ? wordAt(bytes, 4 * step) : step === words ? lastWord(bytes) : 0
    if (step === words + 1) v2 ^= 0xee
    if (step === words + 2) {
      out[0] = v1 ^ v3
      v1 ^= 0xdd
    }
    v3 ^= word
    const roundCount = step <= words ? rounds.perWord : rounds.perOutput
    for (let round = 0; round < roundCount; round++) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
    v0 ^= word
  }
  out[1] = v1 ^ v3
}

/** Little-endian. The caller stays within bounds; reading past the end would give zeros. */
function wordAt(bytes: Uint8Array, at: number): number {
  return (
    byteAt(bytes, at) | (byteAt(bytes, at + 1) << 8) | (byteAt(bytes, at + 2) << 16) | (byteAt(bytes, at + 3) << 24)
  )
}

/** What is left after the whole words, with the length on top. */
function lastWord(bytes: Uint8Array): number {
  const at = bytes.length & ~3
  const left = bytes.length & 3
  let word = bytes.length << 24
  if (left > 2) word |= byteAt(bytes, at + 2) << 16
  if (left > 1) word |= byteAt(bytes, at + 1) << 8
  if (left > 0) word |= byteAt(bytes, at)
  return word
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] as number // within bounds, as both callers see to it
}

/** Spreads the bits of a 32-bit integer: equal inputs, equal outputs; neighbours land far apart. Unsigned. */
export function mix32(value: number): number {
  let mixed = value | 0
  // The finalizer of MurmurHash3 (Appleby).
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** Two independent 32-bit hashes over a run of integers and texts. */
export class ContentHash {
  #low = 0x2545f491
  #high = 0x1b873593

  get low(): number {
    return mix32(this.#low)
  }

  get high(): number {
    return mix32(this.#high)
  }

  /** An integer from 0 to 2^53. */
  integer(value: number): this {
    this.#word(value | 0)
    this.#word(Math.floor(value / 0x1_0000_0000) | 0)
    return this
  }

  /** Its length goes in as well, so that "a", "bc" and "ab", "c" differ. */
  text(text: string): this {
    this.#word(text.length)
    for (let i = 0; i < text.length; i++) this.#word(text.charCodeAt(i))
    return this
  }

  #word(word: number): void {
    this.#low = Math.imul(rotate(this.#low ^ word, 13), 0xcc9e2d51) + 0x38495ab5
    this.#high = Math.imul(rotate(this.#high + word, 17), 0x9e3779b1) ^ 0x7feb352d
  }
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}
