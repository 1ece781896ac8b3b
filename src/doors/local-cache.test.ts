import { deepEqual, throws } from "node:assert/strict"
import { test } from "node:test"
import type { CallOutcome } from "../client/session.ts"
import { sealed, tagKey } from "../client/tags.ts"
import { WalkFailure } from "../client/walk.ts"
import type { Operation, StatusReport } from "../protocol/message.ts"
import { LocalCache, type LocalNode } from "./local-cache.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const plain: CallOutcome = { kind: "value", value: bytes("v"), flags: 1, version: 9 }
const { bytes: value, flags } = sealed({ bytes: bytes("v"), flags: 1 }, [{ tag: bytes("red"), version: 5 }])
const tagged: CallOutcome = { kind: "value", value, flags, version: 9 }

/** Answers at once, or only later; in the middle of its own step it must not be asked. */
function nodeThat(answers: (key: Uint8Array, operation: Operation) => CallOutcome, when: "now" | "later"): LocalNode {
  let isInStep = false
  const step = <T>(work: () => T): T => {
    if (isInStep) throw new Error("asked in the middle of a step")
    isInStep = true
    try {
      return work()
    } finally {
      isInStep = false
    }
  }
  return {
    status: () => ({}) as StatusReport, // nobody asks for it
    reads: () => ({ hits: 0, misses: 0 }),
    beforeInput: () => {},
    routes: () => undefined,
    callNow: (key, operation) =>
      step(() => {
        const outcome = answers(key, operation)
        return when === "later" || outcome.kind === "failed" ? undefined : outcome
      }),
    call: ({ key, operation }, done) => setImmediate(() => step(() => done(answers(key, operation)))),
  }
}

const tag =
  (version: number) =>
  (key: Uint8Array, operation: Operation): CallOutcome => {
    if (operation.op === "get") return tagged
    deepEqual([operation.op, key], ["ttl", tagKey(bytes("red"))])
    return { kind: "ttl", ttlMs: null, version }
  }

for (const when of ["now", "later"] as const) {
  test(`a value that bears tags is read without them, answered ${when}`, async () => {
    const cache = new LocalCache(nodeThat(tag(5), when))
    deepEqual(await cache.ask(bytes("k"), { op: "get" }), plain)
  })

  test(`one whose tag was invalidated is not there, answered ${when}`, async () => {
    const cache = new LocalCache(nodeThat(tag(6), when))
    deepEqual(await cache.ask(bytes("k"), { op: "get" }), { kind: "missing" })
  })
}

test("what bears none is there at once", () => {
  const cache = new LocalCache(nodeThat(() => plain, "now"))
  deepEqual(cache.ask(bytes("k"), { op: "get" }), plain)
})

test("a node that belongs to no cluster has no keys to go through", () => {
  const cache = new LocalCache(nodeThat(() => plain, "now"))
  throws(() => cache.asking(), WalkFailure)
})
