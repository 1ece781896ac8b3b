import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import { type Intent, OperationChooser } from "./operations.ts"

function chosen(seed: number, count: number): Intent[] {
  const chooser = new OperationChooser({ prng: new Prng(seed), keyCount: 100 })
  return Array.from({ length: count }, () => {
    const intent = chooser.next()
    if (intent.op === "set") chooser.saw(intent.key, intent.value)
    return intent
  })
}

test("the same seed asks for the same operations", () => {
  deepEqual(chosen(7, 500), chosen(7, 500))
})

test("every kind of operation occurs, and no value is written twice", () => {
  const intents = chosen(1, 5_000)
  const kinds = new Set(intents.map(intent => intent.op))
  deepEqual(kinds, new Set(["get", "set", "add", "delete", "cas", "incr"]))
  const values = intents.flatMap(intent => ("value" in intent ? [intent.value] : []))
  equal(new Set(values).size, values.length)
})

test("counters are counted, and nothing else is", () => {
  for (const intent of chosen(2, 5_000)) {
    if (intent.op === "incr") ok(intent.key.startsWith("counter:"))
    if ("value" in intent) ok(intent.key.startsWith("key:"))
  }
})

test("every key is used, and some are contended", () => {
  const counts = Map.groupBy(chosen(3, 10_000), intent => intent.key)
  equal(counts.size, 100)
  ok([...counts.values()].some(uses => uses.length > 500))
})

test("with a prefix all keys bear it, and counters are counters still", () => {
  const chooser = new OperationChooser({ prng: new Prng(5), keyCount: 100, keyPrefix: "mine:" })
  for (const key of chooser.keys) ok(/^mine:(key|counter):\d+$/.test(key), key)
  for (let i = 0; i < 1_000; i++) {
    const intent = chooser.next()
    if (intent.op === "incr") ok(intent.key.startsWith("mine:counter:"))
    if ("value" in intent) ok(intent.key.startsWith("mine:key:"))
  }
})
