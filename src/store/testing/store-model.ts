/**
 * An arena store beside a plain `Map`, and what can be done to both. After each step they agree: exactly, but for what the
 * store said it had to forget. What it forgets must have been asked for first, and is never seen again.
 */
import { deepEqual, equal, ok } from "node:assert/strict"
import type { Prng } from "../../base/prng.ts"
import { mix32 } from "../../base/hash.ts"
import { ArenaStore, type Condition, type Shape } from "../arena-store.ts"
import type { Arc, Cursor, Entry, Eviction, HashedKey } from "../store.ts"

export type ModelOptions = {
  readonly shape: Shape
  readonly maxBytes: number
  readonly eviction: Eviction
  readonly copiesShare: number
  /** Keys are numbers below this. */
  readonly keys: number
  readonly longestKey: number
  /** So many keys share a position. 1: hardly any. */
  readonly keysPerPosition: number
}

type Lives = "forever" | "briefly"

export type Step =
  | { readonly do: "set"; readonly key: number; readonly length: number; readonly lives: Lives }
  | {
      readonly do: "set if"
      readonly key: number
      readonly length: number
      readonly condition: "absent" | "present" | "same" | "other"
    }
  | { readonly do: "get" | "get into" | "delete" | "increment" | "touch"; readonly key: number }
  | { readonly do: "forget"; readonly key: number; readonly version: "same" | "other" }
  | { readonly do: "drop arc"; readonly arc: Arc; readonly limit: number }
  | { readonly do: "count arc"; readonly arc: Arc }
  | { readonly do: "tidy"; readonly bytes: number }
  | { readonly do: "sweep"; readonly ms: number; readonly limit: number; readonly deletes: boolean }
  | { readonly do: "scan"; readonly arc: Arc; readonly budget: number }
  | { readonly do: "hold" | "let go"; readonly key: number }
  | { readonly do: "roles"; readonly seed: number }

type Held = {
  readonly key: number
  readonly version: number
  /** The version with which the value came: a touch gives it another. */
  readonly made: number
  readonly length: number
  readonly expiresAtMs: number
  /** What an increment left there. */
  readonly number: number | undefined
}

type Scan = {
  readonly arc: Arc
  cursor: Cursor | undefined
  /** Here since the scan began. */
  readonly stayed: Set<number>
  readonly visited: Set<number>
}

export class StoreModel {
  readonly options: ModelOptions
  readonly store: ArenaStore
  readonly held = new Map<number, Held>()
  readonly #heldBack = new Set<number>()
  readonly #names = new Map<string, number>()
  readonly #keys: HashedKey[] = []
  #roles = 0
  #version = 0
  #nowMs = 1_000
  #scan: Scan | undefined
  /** The key being written, what it held, and the version it gets. */
  #writing: { key: number; before: Held | undefined; version: number } | undefined
  /** Whom the owner has just been asked for. */
  #allowed: string | undefined
  dropped = 0
  /** For the tests of what this notices: called before each step. */
  tamper: (store: ArenaStore) => void = () => {}

  constructor(options: ModelOptions) {
    this.options = options
    for (let key = 0; key < options.keys; key++) {
      const hashed = hashedKey(key, options)
      this.#keys.push(hashed)
      this.#names.set(nameOf(hashed.bytes), key)
    }
    this.store = new ArenaStore({
      ...options,
      owner: {
        isLed: position => this.#isLed(position),
        mayDrop: (key, position) => {
          const name = nameOf(key)
          const known = this.#names.get(name)
          ok(
            known !== undefined && this.#keys[known]?.position === position,
            "the owner is asked about a key of its own",
          )
          if (this.#heldBack.has(known)) return false
          this.#allowed = name
          return true
        },
        dropped: (key, position, version, isCopy) => this.#dropped(nameOf(key), position, version, isCopy),
      },
    })
  }

  get heldBackBytes(): number {
    let bytes = 0
    for (const key of this.#heldBack) bytes += 3 * (200 + (this.held.get(key)?.length ?? 0))
    return bytes
  }

  #isLed(position: number): boolean {
    return this.#roles === 0 || (mix32(position ^ this.#roles) & 3) !== 0
  }

  #dropped(name: string, position: number, version: number, isCopy: boolean): void {
    const key = this.#names.get(name)
    ok(key !== undefined && this.#keys[key]?.position === position)
    equal(isCopy, !this.#isLed(position))
    this.dropped += 1
    if (this.#writing?.key === key && version === this.#writing.version) {
      // Too large to be kept at all.
      this.#forgotten(key)
      return
    }
    equal(this.#allowed, name, "nothing is dropped that the owner was not asked for")
    this.#allowed = undefined
    if (this.#writing?.key === key) {
      equal(version, this.#writing.before?.version, "an entry is dropped once")
      this.#writing.before = undefined
      this.#scan?.stayed.delete(key)
      return
    }
    equal(version, this.held.get(key)?.version, "an entry is dropped once, as it is")
    this.#forgotten(key)
  }

  #forgotten(key: number): void {
    this.held.delete(key)
    this.#scan?.stayed.delete(key)
  }

  // ------------------------------------------------------------------------------------------------ steps

  step(step: Step): void {
    this.tamper(this.store)
    const { store } = this
    switch (step.do) {
      case "set":
        this.#set(step.key, step.length, step.lives, entry => store.set(this.#hashed(step.key), entry))
        break
      case "set if":
        this.#setIf(step)
        break
      case "get":
        this.#compare(step.key, store.get(this.#hashed(step.key)))
        break
      case "get into":
        this.#getInto(step.key)
        break
      case "delete":
        equal(store.delete(this.#hashed(step.key)), this.held.has(step.key))
        this.#forgotten(step.key)
        break
      case "forget": {
        const version = this.held.get(step.key)?.version ?? 0
        const asked = step.version === "same" ? version : version + 1
        equal(store.forget(this.#hashed(step.key), asked), step.version === "same" && this.held.has(step.key))
        if (step.version === "same") this.#forgotten(step.key)
        break
      }
      case "touch":
        this.#touch(step.key)
        break
      case "increment":
        this.#increment(step.key)
        break
      case "drop arc":
        this.#dropArc(step)
        break
      case "count arc":
        this.#countArc(step.arc)
        break
      case "tidy":
        store.tidy(step.bytes)
        break
      case "sweep":
        this.#sweep(step)
        break
      case "scan":
        this.#scanOn(step)
        break
      case "hold":
        if (this.#heldBack.size < 4) this.#heldBack.add(step.key)
        break
      case "let go":
        this.#heldBack.delete(step.key)
        break
      case "roles":
        this.#roles = step.seed
        break
    }
    equal(store.entries, this.held.size, "entries")
    if (this.options.eviction !== "none")
      ok(
        store.memoryBytes <= this.options.maxBytes + this.heldBackBytes,
        `${store.memoryBytes} bytes taken of ${this.options.maxBytes}, ${this.heldBackBytes} held back`,
      )
  }

  /** Everything is as the model says. */
  compareAll(): void {
    for (let key = 0; key < this.options.keys; key++) this.#compare(key, this.store.get(this.#hashed(key)))
    this.#countArc({ from: 0, to: 2 ** 32 })
    // What has expired is found: in the segment in which the sweep stands only when it comes round.
    for (let round = 0; round < 3; round++) this.#sweep({ do: "sweep", ms: 0, limit: 100_000, deletes: true })
    for (const { key, expiresAtMs } of this.held.values())
      ok(expiresAtMs > this.#nowMs, `${key} has expired and stayed`)
  }

  #set(key: number, length: number, lives: Lives, write: (entry: Entry) => void): void {
    this.#version += 1
    const before = this.held.get(key)
    // Not a whole number of milliseconds: what is kept is.
    const expiresAtMs = lives === "forever" ? Number.POSITIVE_INFINITY : this.#nowMs + 20.5
    const version = this.#version
    const after = { key, version, made: version, length, expiresAtMs: Math.ceil(expiresAtMs), number: undefined }
    this.#write(key, after, before, () =>
      write({ value: valueOf(key, this.#version, length), flags: key & 0xffff, version: this.#version, expiresAtMs }),
    )
  }

  #write(key: number, after: Held, before: Held | undefined, write: () => void): void {
    this.held.set(key, after)
    this.#writing = { key, before, version: after.version }
    write()
    this.#writing = undefined
  }

  #setIf({ key, length, condition }: Extract<Step, { do: "set if" }>): void {
    const living = this.#living(key)
    const version = condition === "same" ? (living?.version ?? 1) : (living?.version ?? 0) + 1
    const asked: Condition = condition === "absent" || condition === "present" ? condition : { version }
    const isMet = condition === "absent" ? living === undefined : living !== undefined && condition !== "other"
    const write = (entry: Entry) => equal(this.store.setIf(this.#hashed(key), entry, asked, this.#nowMs), isMet)
    if (isMet) this.#set(key, length, "forever", write)
    else write({ value: new Uint8Array(length), flags: 0, version: 1, expiresAtMs: 1 })
  }

  #touch(key: number): void {
    const living = this.#living(key)
    this.#version += 1
    const expiresAtMs = this.#nowMs + 10
    equal(this.store.touch(this.#hashed(key), this.#version, expiresAtMs, this.#nowMs), living !== undefined)
    if (living !== undefined) this.held.set(key, { ...living, version: this.#version, expiresAtMs })
  }

  #increment(key: number): void {
    const living = this.#living(key)
    this.#version += 1
    const increment = () => this.store.increment(this.#hashed(key), 7, this.#version, this.#nowMs)
    if (living !== undefined && living.number === undefined) {
      equal(increment(), "not-a-number")
      return
    }
    const number = (living?.number ?? 0) + 7
    const expiresAtMs = living?.expiresAtMs ?? Number.POSITIVE_INFINITY
    const after = { key, version: this.#version, made: 0, length: String(number).length, expiresAtMs, number }
    this.#write(key, after, this.held.get(key), () => equal(increment(), number))
  }

  #getInto(key: number): void {
    const held = this.held.get(key)
    const into = new Uint8Array((held?.length ?? 0) + 5).fill(0xee)
    const found = this.store.getInto(this.#hashed(key), into, 3)
    equal(found?.bytes, held?.length)
    if (held === undefined) return
    equal(found?.version, held.version)
    deepEqual(into.subarray(3, 3 + held.length), this.#valueOf(held))
    deepEqual([into[0], into[2], into[3 + held.length], into[4 + held.length]], [0xee, 0xee, 0xee, 0xee])
    const short = new Uint8Array(held.length + 2)
    equal(this.store.getInto(this.#hashed(key), short, 3)?.bytes, held.length)
    ok(
      short.every(byte => byte === 0),
      "nothing is copied into a buffer without room",
    )
  }

  #sweep({ ms, limit, deletes }: Extract<Step, { do: "sweep" }>): void {
    this.#nowMs += ms
    let nominated = 0
    this.store.sweep(this.#nowMs, limit, (bytes, position, version) => {
      nominated += 1
      const key = this.#names.get(nameOf(bytes))
      const held = key === undefined ? undefined : this.held.get(key)
      ok(key !== undefined && held !== undefined, "only entries are nominated")
      equal(version, held.version)
      ok(held.expiresAtMs <= this.#nowMs, "only what has expired is nominated")
      if (!deletes) return
      equal(this.store.delete({ bytes, position }), true)
      this.#forgotten(key)
    })
    ok(nominated <= limit)
  }

  /** Begins a scan, or goes on with the one that is open. */
  #scanOn({ arc, budget }: Extract<Step, { do: "scan" }>): void {
    this.#scan ??= {
      arc,
      cursor: undefined,
      stayed: new Set([...this.held.keys()].filter(key => this.#isIn(arc, key))),
      visited: new Set(),
    }
    const scan = this.#scan
    scan.cursor = this.store.scan(scan.arc, scan.cursor, budget, (bytes, position, entry) => {
      const key = this.#names.get(nameOf(bytes))
      ok(key !== undefined && this.#keys[key]?.position === position && this.#isIn(scan.arc, key))
      ok(!scan.visited.has(key), "no entry is visited twice")
      scan.visited.add(key)
      this.#compare(key, entry)
    })
    if (scan.cursor !== undefined) return
    for (const key of scan.stayed) ok(scan.visited.has(key), `${key} was there all the time`)
    this.#scan = undefined
  }

  /** As many go as may, those of the lowest positions; of one position, whichever. */
  #dropArc({ arc, limit }: Extract<Step, { do: "drop arc" }>): void {
    const inside = [...this.held.keys()].filter(key => this.#isIn(arc, key))
    equal(this.store.dropArc(arc, limit), inside.length >= limit)
    const left = new Set<string>()
    this.store.scan(arc, undefined, Number.POSITIVE_INFINITY, bytes => left.add(nameOf(bytes)))
    equal(left.size, Math.max(0, inside.length - limit))
    const isLeft = (key: number) => left.has(nameOf(this.#hashed(key).bytes))
    const firstLeft = Math.min(...inside.filter(isLeft).map(key => this.#hashed(key).position))
    for (const key of inside) {
      if (isLeft(key)) continue
      ok(this.#hashed(key).position <= firstLeft, "an arc is dropped from its beginning")
      this.#forgotten(key)
    }
  }

  #countArc(arc: Arc): void {
    const inside = [...this.held.keys()].filter(key => this.#isIn(arc, key))
    const { entries, bytes } = this.store.countArc(arc)
    equal(entries, inside.length)
    const parts = [this.store.countArc({ ...arc, to: arc.from + 1 })]
    if (arc.to - arc.from > 1) parts.push(this.store.countArc({ ...arc, from: arc.from + 1 }))
    equal(
      bytes,
      parts.reduce((sum, part) => sum + part.bytes, 0),
    )
    if (arc.to - arc.from === 2 ** 32) equal(bytes, this.store.bytes)
  }

  #compare(key: number, entry: Entry | undefined): void {
    const held = this.held.get(key)
    if (held === undefined) return equal(entry, undefined, `${key} is not there`)
    ok(entry !== undefined, `${key} is there`)
    equal(entry.version, held.version)
    equal(entry.expiresAtMs, held.expiresAtMs)
    ok(Buffer.from(entry.value).equals(this.#valueOf(held)), `the value of ${key}`)
  }

  #valueOf({ key, made, length, number }: Held): Uint8Array {
    return number === undefined ? valueOf(key, made, length) : new TextEncoder().encode(String(number))
  }

  #living(key: number): Held | undefined {
    const held = this.held.get(key)
    return held === undefined || held.expiresAtMs <= this.#nowMs ? undefined : held
  }

  #isIn(arc: Arc, key: number): boolean {
    const { position } = this.#hashed(key)
    return position >= arc.from && position < arc.to
  }

  #hashed(key: number): HashedKey {
    const hashed = this.#keys[key]
    ok(hashed !== undefined)
    return hashed
  }
}

/** A step that a store of this kind may be asked for, at random. */
export function randomStep(prng: Prng, options: ModelOptions, longest: number): Step {
  const key = prng.below(options.keys)
  const length = () => (prng.chance(0.03) ? prng.below(longest) : prng.below(Math.min(longest, 60)))
  const p = prng.below(1_000)
  if (p < 480) return { do: "set", key, length: length(), lives: prng.chance(0.8) ? "forever" : "briefly" }
  if (p < 660) return { do: "get", key }
  if (p < 690) return { do: "get into", key }
  if (p < 770) return { do: "delete", key }
  if (p < 790) return { do: "touch", key }
  if (p < 810) return { do: "increment", key }
  if (p < 840)
    return {
      do: "set if",
      key,
      length: length(),
      condition: prng.pick(["absent", "present", "same", "other"] as const),
    }
  if (p < 860) return { do: "forget", key, version: prng.chance(0.7) ? "same" : "other" }
  if (p < 863) return { do: "drop arc", arc: randomArc(prng), limit: prng.chance(0.3) ? 10_000 : 1 + prng.below(30) }
  if (p < 866) return { do: "count arc", arc: randomArc(prng) }
  if (p < 885) return { do: "tidy", bytes: prng.below(2_000) }
  if (p < 925) return { do: "sweep", ms: prng.below(4), limit: 1 + prng.below(20), deletes: prng.chance(0.7) }
  if (p < 970) return { do: "scan", arc: randomArc(prng), budget: prng.below(1_000) }
  if (p < 980) return { do: "hold", key }
  if (p < 995) return { do: "let go", key }
  return { do: "roles", seed: prng.below(3) }
}

function randomArc(prng: Prng): Arc {
  if (prng.chance(0.3)) return { from: 0, to: 2 ** 32 }
  const partition = prng.below(16) * 2 ** 28
  if (prng.chance(0.3)) return { from: partition, to: partition + 2 ** 28 }
  const a = prng.uint32()
  const b = prng.uint32()
  return { from: Math.min(a, b), to: Math.max(a, b) + 1 }
}

function hashedKey(key: number, { longestKey, keysPerPosition }: ModelOptions): HashedKey {
  const length = key === 0 ? 0 : 4 + (mix32(key) % Math.max(1, longestKey - 3))
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (key >>> (8 * (i & 3))) & 0xff
  const place = Math.floor(key / keysPerPosition)
  // Some at the ends of the ring, where the ends of tables are.
  if (place === 1) return { bytes, position: 0 }
  if (place === 2) return { bytes, position: 2 ** 32 - 1 }
  // And beside those.
  if (place === 3) return { bytes, position: 1 }
  if (place === 4) return { bytes, position: 2 ** 32 - 2 }
  return { bytes, position: mix32(place) }
}

function valueOf(key: number, version: number, length: number): Uint8Array {
  const value = new Uint8Array(length)
  let word = mix32(key * 65_537 + version)
  for (let i = 0; i < length; i++) {
    value[i] = word & 0xff
    word = (word >>> 8) | (Math.imul(word, 0x9e3779b1) << 24)
  }
  // No digit: what is made is no number.
  if (length > 0) value[0] = (value[0] as number) | 0x80
  return value
}

function nameOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}
