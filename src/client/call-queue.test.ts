import { deepEqual, equal } from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Call } from "./call.ts"
import { CallQueue } from "./call-queue.ts"

function call(): Call {
  return new Call({ key: new Uint8Array(1), operation: { op: "get" }, timeoutMs: 0, done: () => {} }, 0)
}

test("first in, first out, whatever settles meanwhile; never more than its bound", () => {
  const maxCalls = 100
  const step = fc.oneof(
    fc.constant("add" as const),
    fc.constant("shift" as const),
    fc.record({ settle: fc.nat(maxCalls) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 500 }), steps => {
      const queue = new CallQueue({ maxCalls, maxBytes: 1_000_000 })
      const model: Call[] = []
      for (const step of steps) {
        if (step === "add") {
          const added = call()
          equal(queue.add(added), model.length < maxCalls)
          if (model.length < maxCalls) model.push(added)
        } else if (step === "shift") {
          equal(queue.first(), model[0])
          queue.shift()
          const left = model.shift()
          if (left !== undefined) left.state = { kind: "unrouted" }
        } else {
          const [settled] = model.splice(step.settle, 1)
          if (settled === undefined) continue
          settled.state = { kind: "settled" }
          queue.settled(settled)
        }
        equal(queue.count, model.length)
        equal(queue.first(), model[0])
      }
      deepEqual(queue.waiting(), model)
    }),
  )
})
