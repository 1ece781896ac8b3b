import { deepEqual, equal, ok } from "node:assert/strict"
import { setTimeout as sleep } from "node:timers/promises"
import { test } from "node:test"
import { Prng } from "../../src/base/prng.ts"
import { historyLine, parseHistory } from "../checker/history.ts"
import { checkLinearizability } from "../checker/linearizability.ts"
import { type Intent, OperationChooser } from "./operations.ts"
import { Recorder } from "./recorder.ts"
import { until } from "./until.ts"
import { type Answer, type CacheAccess, Workload } from "./workload.ts"

/** A cache of one map, which answers at the end of the turn. */
class MapAccess implements CacheAccess {
  readonly map = new Map<string, string>()
  open = 0
  mostOpen = 0

  async perform(intent: Intent): Promise<Answer> {
    this.mostOpen = Math.max(this.mostOpen, ++this.open)
    const value = this.#apply(intent)
    await sleep(1)
    this.open--
    return value
  }

  #apply(intent: Intent): Answer {
    const old = this.map.get(intent.key)
    switch (intent.op) {
      case "get":
        return { ending: { kind: "done" }, value: old ?? null }
      case "incr": {
        const value = String(Number(old ?? 0) + intent.by)
        this.map.set(intent.key, value)
        return { ending: { kind: "done" }, value }
      }
      case "delete":
        return { ending: { kind: "done" }, value: null, found: this.map.delete(intent.key) }
      case "add":
      case "cas":
        if (old !== (intent.op === "cas" ? intent.expected : undefined))
          return { ending: { kind: "unmet" }, value: null }
        this.map.set(intent.key, intent.value)
        return { ending: { kind: "done" }, value: null }
      case "set":
        this.map.set(intent.key, intent.value)
        return { ending: { kind: "done" }, value: null }
    }
  }
}

function workload(more: { rate?: number; access?: CacheAccess }) {
  const chooser = new OperationChooser({ prng: new Prng(5), keyCount: 40 })
  const recorder = new Recorder()
  const access = new MapAccess()
  const startNs = process.hrtime.bigint()
  const load = new Workload({
    chooser,
    recorder,
    accesses: [more.access ?? access],
    processCount: 8,
    rate: more.rate,
    nowNs: () => Number(process.hrtime.bigint() - startNs),
  })
  return { load, recorder, access, chooser }
}

test("a process has one operation at a time, and the history can be read back", async () => {
  const { load, recorder, access } = workload({})
  await until(() => recorder.count > 400, { withinMs: 5_000, what: "400 operations" })
  await load.stop()
  equal(access.open, 0)
  equal(access.mostOpen, 8)
  const history = recorder.history()
  const { operations, problems } = parseHistory(history.map(historyLine).join(""))
  deepEqual(problems, [])
  equal(operations.length, history.length)
  equal(checkLinearizability(history).verdict, "consistent")
})

test("a rate is kept", async () => {
  const { load, recorder } = workload({ rate: 400 })
  const startedAtMs = performance.now()
  await until(() => recorder.count >= 200, { withinMs: 5_000, what: "200 operations" })
  const tookMs = performance.now() - startedAtMs
  await load.stop()
  // Never faster; slower only as far as this machine is.
  ok(tookMs > 450, `200 operations at 400 a second took ${tookMs} ms`)
})

test("while nothing is answered, each process waits with its one operation", async () => {
  let answer: () => void = () => {}
  const opened = new Promise<void>(resolve => {
    answer = resolve
  })
  let asked = 0
  const access: CacheAccess = {
    async perform() {
      asked++
      await opened
      return { ending: { kind: "done" }, value: null }
    },
  }
  const { load } = workload({ rate: 2_000, access })
  await until(() => asked === 8, { withinMs: 5_000, what: "every process to wait" })
  const stopped = load.stop()
  answer()
  await stopped
  equal(asked, 8)
})
