/**
 * A set of seen texts, in some 12 to 24 bytes each, so that a run over all accounts may remember every one: of each
 * text 64 bits of hash are kept. Two texts collide with a probability below one in a million for a million texts; with
 * another seed they do not.
 */
export class SeenSet {
  readonly #seed: number
  #slots: Uint32Array
  #size = 0

  /** @param seed any 32 bits; take others for each run */
  constructor(seed: number) {
    this.#seed = seed >>> 0
    this.#slots = new Uint32Array(2 * SLOTS_FIRST)
  }

  get size(): number {
    return this.#size
  }

  add(text: string): void {
    if ((this.#size + 1) * FULL_PARTS > this.#slots.length * HALF_OF_FULL) this.#grow()
    const [high, low] = this.#hash(text)
    if (put(this.#slots, high, low)) this.#size++
  }

  has(text: string): boolean {
    const [high, low] = this.#hash(text)
    const at = placeOf(this.#slots, high, low)
    return this.#slots[at] === high && this.#slots[at + 1] === low
  }

  #grow(): void {
    const before = this.#slots
    this.#slots = new Uint32Array(2 * before.length)
    for (let at = 0; at < before.length; at += 2) {
      const [high = 0, low = 0] = [before[at], before[at + 1]]
      if (high !== 0 || low !== 0) put(this.#slots, high, low)
    }
  }

  /** Two 32-bit hashes (FNV-1a with two primes, then mixed); 0 and 0 stand for an empty slot. */
  #hash(text: string): readonly [number, number] {
    let high = this.#seed ^ 0x811c9dc5
    let low = this.#seed ^ 0x9e3779b9
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index)
      high = Math.imul(high ^ code, 0x01000193)
      low = Math.imul(low ^ code, 0x85ebca6b)
      low = (low << 13) | (low >>> 19)
    }
    return [mixed(high), (mixed(low) | 1) >>> 0]
  }
}

const SLOTS_FIRST = 1024
/** A table is made larger when it is two thirds full; its slots are two words each. */
const FULL_PARTS = 3
const HALF_OF_FULL = 1

function mixed(hash: number): number {
  let left = hash ^ (hash >>> 16)
  left = Math.imul(left, 0x7feb352d)
  left ^= left >>> 15
  left = Math.imul(left, 0x846ca68b)
  return (left ^ (left >>> 16)) >>> 0
}

/** The slot of the pair, or the free one for it. */
function placeOf(slots: Uint32Array, high: number, low: number): number {
  const count = slots.length / 2
  let slot = high & (count - 1)
  for (;;) {
    const at = 2 * slot
    if (slots[at + 1] === 0 || (slots[at] === high && slots[at + 1] === low)) return at
    slot = (slot + 1) & (count - 1)
  }
}

/** @returns false where it is there already */
function put(slots: Uint32Array, high: number, low: number): boolean {
  const at = placeOf(slots, high, low)
  if (slots[at + 1] !== 0) return false
  slots[at] = high
  slots[at + 1] = low
  return true
}
