/**
 * Rules of the store, broken one at a time, and what notices. Nothing in the store can be switched off: a method of a part is replaced
 * for as long as a mutant is looked for, and the test is that something fails which passes otherwise.
 */
import { ok, throws } from "node:assert/strict"
import { after, test } from "node:test"
import { Prng } from "../base/prng.ts"
import { ArenaStore, ownedAlone } from "./arena-store.ts"
import { Entries } from "./entries.ts"
import { Ghost } from "./ghost.ts"
import { KeyIndex } from "./key-index.ts"
import { Reclaim } from "./reclaim.ts"
import { Segments } from "./segments.ts"
import { TableMemory } from "./table-memory.ts"
import { SmallShare } from "./small-share.ts"
import type { Entry } from "./store.ts"
import { hitRatio } from "./testing/hit-ratio.ts"
import { checkInvariants } from "./testing/invariants.ts"
import { type ModelOptions, randomStep, StoreModel } from "./testing/store-model.ts"

// ------------------------------------------------------------------------------------------------ what notices

const shape = { segmentBytes: 1_024, partitionBits: 4, tableEntries: 32 }
const roomy: ModelOptions = {
  ...{ eviction: "none", shape, maxBytes: 60 * 1_024, keys: 100, longestKey: 40, keysPerPosition: 5, copiesShare: 0 },
}
const tight: ModelOptions = {
  ...{
    eviction: "s3fifo",
    shape,
    maxBytes: 20 * 1_024,
    keys: 600,
    longestKey: 20,
    keysPerPosition: 1,
    copiesShare: 0.4,
  },
}

/** A few runs beside the model, every invariant looked at now and then. */
function besideTheModel(): void {
  for (let seed = 1; seed <= 4; seed++)
    for (const options of [roomy, tight]) {
      const prng = new Prng(seed)
      const model = new StoreModel(options)
      for (let step = 0; step < 1_500; step++) {
        model.step(randomStep(prng, options, 400))
        if (step % 20 === 0) checkInvariants(model.store)
      }
      model.compareAll()
      checkInvariants(model.store)
    }
}

/** A store that is full, and entries that nobody asks for to fill it with. */
function fullStore(valueBytes: number) {
  const store = new ArenaStore({ ...ownedAlone, maxBytes: 120_000, eviction: "s3fifo", shape })
  const prng = new Prng(1)
  const newKey = () => ({ bytes: Uint8Array.from({ length: 6 }, () => prng.below(256)), position: prng.uint32() })
  const set = (key: ReturnType<typeof newKey>) => store.set(key, entryOf(valueBytes))
  const pass = (count: number) => {
    for (let i = 0; i < count; i++) set(newKey())
  }
  // Without a use of it.
  const isThere = (key: ReturnType<typeof newKey>) => store.parts.entries.find(key) !== 0
  pass(5_000)
  return { store, newKey, set, pass, isThere }
}

function entryOf(valueBytes: number): Entry {
  return { value: new Uint8Array(valueBytes), flags: 0, version: 1, expiresAtMs: Number.POSITIVE_INFINITY }
}

/** Who comes back soon after it was forgotten begins where it stays. */
function whoComesBackStays(): void {
  const { newKey, set, pass, isThere } = fullStore(40)
  let stayed = 0
  for (let round = 0; round < 30; round++) {
    const key = newKey()
    set(key)
    let passed = 0
    for (; isThere(key); passed += 10) pass(10)
    set(key)
    pass(2 * passed)
    if (isThere(key)) stayed += 1
  }
  ok(stayed > 20, `${stayed} of 30`)
}

function whatIsUsedStays(): void {
  const { store, newKey, set, pass, isThere } = fullStore(40)
  let stayed = 0
  for (let round = 0; round < 30; round++) {
    const key = newKey()
    set(key)
    store.get(key)
    pass(store.entries / 3)
    if (isThere(key)) stayed += 1
  }
  ok(stayed > 20, `${stayed} of 30`)
}

/** Entries of which the index is a large part. */
function theLimitHolds(): void {
  const { store } = fullStore(0)
  ok(store.memoryBytes <= 120_000, `${store.memoryBytes} bytes`)
}

function theSmallQueueGrows(): void {
  const keys: number[] = []
  for (let n = 0; n < 40_000; n++) keys.push(n, Math.max(0, n - 300))
  const ratio = hitRatio("s3fifo", keys, 2_000)
  ok(ratio > 0.35, `${ratio}`)
}

/** Overwriting with other lengths leaves a store about as large as it was. */
function deadBytesComeBack(): void {
  const store = new ArenaStore({
    ...ownedAlone,
    maxBytes: 2 ** 24,
    eviction: "none",
    shape: { ...shape, partitionBits: 6 },
  })
  const prng = new Prng(1)
  const set = (n: number, length: number) =>
    store.set({ bytes: Uint8Array.of(n & 255, n >>> 8), position: Math.imul(n, 0x9e3779b1) >>> 0 }, entryOf(length))
  for (let n = 0; n < 4_000; n++) set(n, 100)
  const before = store.memoryBytes
  for (let i = 0; i < 40_000; i++) set(prng.below(4_000), 50 + prng.below(100))
  ok(store.memoryBytes <= 1.25 * before, `${store.memoryBytes / before} times`)
}

const witnesses = {
  besideTheModel,
  theLimitHolds,
  whoComesBackStays,
  whatIsUsedStays,
  theSmallQueueGrows,
  deadBytesComeBack,
}

// ------------------------------------------------------------------------------------------------ what is broken

/** As a class has it: a method, or what reads a property. */
type Member<Part, Name extends keyof Part> = Part[Name] extends (...args: infer Arguments) => infer Result
  ? (this: Part, ...args: Arguments) => Result
  : (this: Part) => Part[Name]

/** Replaces a method, or the getter of a property, of all objects of a class. Returns how to put it back. */
function replaced<Part extends object, Name extends keyof Part>(
  part: Part,
  name: Name,
  make: (original: Member<Part, Name>) => Member<Part, Name>,
): () => void {
  const before = Object.getOwnPropertyDescriptor(part, name)
  ok(before !== undefined, `${String(name)} is there to be replaced`)
  const now = make(before.value ?? before.get)
  Object.defineProperty(
    part,
    name,
    before.get === undefined ? { ...before, value: now } : { ...before, get: now as () => unknown },
  )
  return () => Object.defineProperty(part, name, before)
}

/** What typed arrays of every kind have in common. */
const ofAllArrays: Pick<Uint32Array, "set"> = Object.getPrototypeOf(Uint32Array.prototype)

type Mutant = { readonly what: string; readonly caughtBy: keyof typeof witnesses; readonly breakIt: () => () => void }

const mutants: readonly Mutant[] = [
  {
    what: "the ghost never remembers",
    caughtBy: "whoComesBackStays",
    breakIt: () => replaced(Ghost.prototype, "take", () => () => false),
  },
  {
    what: "a use does not count",
    caughtBy: "whatIsUsedStays",
    breakIt: () => replaced(Entries.prototype, "used", () => () => {}),
  },
  {
    what: "the small queue never grows",
    caughtBy: "theSmallQueueGrows",
    breakIt: () => replaced(SmallShare.prototype, "began", () => () => {}),
  },
  {
    what: "the fullest segment is compacted, not the emptiest",
    caughtBy: "deadBytesComeBack",
    breakIt: () =>
      replaced(
        Segments.prototype,
        "emptiest",
        () =>
          function (this: Segments) {
            const all = this.queues.flatMap(queue => this.sealedOf(queue))
            return all.reduce((a, b) => ((this.live[a] ?? -1) > (this.live[b] ?? -1) ? a : b), -1)
          },
      ),
  },
  {
    what: "what the index grows by is not taken from the segments",
    caughtBy: "theLimitHolds",
    breakIt: () =>
      replaced(Reclaim.prototype, "setBudget", original => {
        const asMade = new WeakSet<Reclaim>()
        return function (this: Reclaim) {
          if (!asMade.has(this)) original.call(this)
          asMade.add(this)
        }
      }),
  },
  {
    what: "a write does not look again after room was made",
    caughtBy: "besideTheModel",
    breakIt: () =>
      replaced(
        Reclaim.prototype,
        "makeRoom",
        original =>
          function (this: Reclaim, bytes: number) {
            original.call(this, bytes)
            return false
          },
      ),
  },
  {
    what: "a scan skips the entry after each step",
    caughtBy: "besideTheModel",
    breakIt: () => scanFrom(1),
  },
  {
    what: "a scan visits the last entry of each step again",
    caughtBy: "besideTheModel",
    breakIt: () => scanFrom(-1),
  },
  {
    what: "a sweep turns round before the last segment",
    caughtBy: "besideTheModel",
    breakIt: () =>
      replaced(
        Segments.prototype,
        "count",
        () =>
          function (this: Segments) {
            return Math.max(1, this.words.length - 1)
          },
      ),
  },
  {
    what: "a segment does not hear of what expires in it",
    caughtBy: "besideTheModel",
    breakIt: () => replaced(Segments.prototype, "expires", () => () => {}),
  },
  {
    what: "a moved entry takes no expiry along",
    caughtBy: "besideTheModel",
    breakIt: () =>
      replaced(
        Entries.prototype,
        "move",
        original =>
          function (this: Entries, ...args: Parameters<Entries["move"]>) {
            const putBack = replaced(Segments.prototype, "expires", () => () => {})
            original.call(this, ...args)
            putBack()
          },
      ),
  },
  {
    what: "an entry that goes is counted twice",
    caughtBy: "besideTheModel",
    breakIt: () =>
      replaced(
        Entries.prototype,
        "remove",
        original =>
          function (this: Entries, place: number) {
            this.index.account(this.positionOf(place), -this.bytesOf(place), 0)
            original.call(this, place)
          },
      ),
  },
  {
    what: "dead bytes are not counted",
    caughtBy: "besideTheModel",
    breakIt: () =>
      replaced(
        Segments.prototype,
        "kill",
        original =>
          function (this: Segments, ...args: Parameters<Segments["kill"]>) {
            const before = this.deadBytes
            original.call(this, ...args)
            this.deadBytes = before
          },
      ),
  },
  {
    what: "a slot is emptied and those behind it are not moved up",
    caughtBy: "besideTheModel",
    breakIt: () =>
      replaced(
        KeyIndex.prototype,
        "remove",
        original =>
          function (this: KeyIndex, ...[position, place]: Parameters<KeyIndex["remove"]>) {
            const at = this.slotOf(position, place)
            const { table } = this
            const next = table.slice(at + 2, at + 4)
            original.call(this, position, place)
            if (this.table !== table || next[1] === 0 || table[at + 1] !== next[1]) return
            table.set([0, 0], at)
          },
      ),
  },
  {
    what: "a table that takes the place of another leaves what it has behind",
    caughtBy: "besideTheModel",
    breakIt: () =>
      replaced(
        TableMemory.prototype,
        "release",
        original =>
          function (this: TableMemory, ...args: Parameters<TableMemory["release"]>) {
            const putBack = replaced(ofAllArrays, "set", () => () => {})
            original.call(this, ...args)
            putBack()
          },
      ),
  },
  {
    what: "a piece that moves is not listed where it went",
    caughtBy: "besideTheModel",
    breakIt: () =>
      replaced(
        Entries.prototype,
        "movePiece",
        original =>
          function (this: Entries, ...args: Parameters<Entries["movePiece"]>) {
            const [, record] = args
            const words = this.segments.wordsOf(record)
            const before = words.slice()
            original.call(this, ...args)
            const at = this.segments.wordOf(record)
            words.set(before.subarray(at, at + 16), at)
          },
      ),
  },
  {
    what: "the records of an arc that is dropped stay alive",
    caughtBy: "besideTheModel",
    breakIt: () => replaced(Entries.prototype, "buried", () => () => {}),
  },
]

function scanFrom(distance: number): () => void {
  return replaced(
    ArenaStore.prototype,
    "scan",
    original =>
      function (this: ArenaStore, ...args: Parameters<ArenaStore["scan"]>) {
        const next = original.call(this, ...args)
        return next === undefined ? undefined : next + distance
      },
  )
}

for (const [name, witness] of Object.entries(witnesses)) test(`nothing is broken: ${name}`, witness)

const caught: string[] = []
for (const { what, caughtBy, breakIt } of mutants)
  test(`${caughtBy} notices: ${what}`, () => {
    const putBack = breakIt()
    try {
      throws(witnesses[caughtBy], error => caught.push(`${what}: ${firstLine(error)}`) > 0)
    } finally {
      putBack()
    }
  })

after(() => {
  for (const line of caught) console.log(line)
})

function firstLine(error: unknown): string {
  return error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error)
}
