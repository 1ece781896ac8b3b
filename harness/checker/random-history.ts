/**
 * Histories for tests: right ones, made by letting a register that is really atomic be used by clients with random
 * latencies, and spoiled ones, made from those by one lie. A spoiled history may by luck still be explicable.
 */
import type { Prng } from "../../src/base/prng.ts"
import { perform } from "./brute-force.ts"
import type { Action, Operation } from "./history.ts"

export type Workload = {
  readonly operations: number
  readonly processes: number
  readonly keys: number
  /** Which operations, each as likely as it appears. */
  readonly mix: readonly Action["op"][]
  readonly values: "unique" | readonly string[]
  /** Probability that the answer to an operation is lost. */
  readonly unknown: number
  /** Longest time between call and return; the shortest is 0, so that small numbers make many ties. */
  readonly longestNs: number
}

type Planned = { operation: Operation; happensNs: number }

export function rightHistory(prng: Prng, workload: Workload): Operation[] {
  const planned: Planned[] = []
  const freeAtNs = Array.from({ length: workload.processes }, () => prng.below(workload.longestNs + 1))
  for (let n = 0; n < workload.operations; n++) {
    // The process that has waited longest goes next, so that calls are made in the order of time.
    let process = 0
    freeAtNs.forEach((atNs, other) => {
      if (atNs < (freeAtNs[process] ?? 0)) process = other
    })
    const callNs = freeAtNs[process] ?? 0
    const returnNs = callNs + prng.below(workload.longestNs + 1)
    const isUnknown = prng.chance(workload.unknown)
    const isLate = isUnknown && prng.chance(0.3)
    const happensNs = isLate ? returnNs + prng.below(10 * workload.longestNs) : prng.between(callNs, returnNs)
    const value = workload.values === "unique" ? `v${n}` : prng.pick(workload.values)
    const operation: Operation = {
      ...randomAction(prng, workload, value),
      process,
      key: `k${prng.below(workload.keys)}`,
      callNs,
      returnNs,
      status: isUnknown ? "info" : "ok",
    }
    // Of the unknown half never happened.
    planned.push({ operation, happensNs: isUnknown && prng.chance(0.5) ? Infinity : happensNs })
    freeAtNs[process] = returnNs + 1 + prng.below(workload.longestNs + 1)
  }
  return answered(planned)
}

/** Performs what was planned in the order in which it happens, and notes the answers. */
function answered(planned: readonly Planned[]): Operation[] {
  const registers = new Map<string, string | null>()
  const answers = new Map<Planned, Operation>()
  for (const plan of [...planned].sort((a, b) => (a.happensNs < b.happensNs ? -1 : 1))) {
    const { operation } = plan
    if (plan.happensNs === Infinity) continue
    const seen = registers.get(operation.key) ?? null
    const { isMet, writes } = perform(operation, seen)
    if (writes !== undefined) registers.set(operation.key, writes)
    if (operation.status === "ok") answers.set(plan, withAnswer(operation, { seen, isMet, writes }))
  }
  return planned.map(plan => answers.get(plan) ?? plan.operation)
}

type Happened = { seen: string | null; isMet: boolean; writes: string | null | undefined }

function withAnswer(operation: Operation, { seen, isMet, writes }: Happened): Operation {
  if (operation.op === "get") return { ...operation, value: seen }
  if (operation.op === "delete" && operation.found !== undefined) return { ...operation, found: seen !== null }
  if (operation.op === "incr" && isMet) return { ...operation, value: writes ?? null }
  return isMet ? operation : { ...operation, status: "fail" }
}

function randomAction(prng: Prng, { mix, values }: Workload, value: string): Action {
  const op = prng.pick(mix)
  switch (op) {
    case "get":
      return { op, value: null }
    case "set":
    case "add":
      return { op, value }
    case "delete":
      return prng.chance(0.5) ? { op } : { op, found: true }
    case "cas": {
      // Among unique values a guess is never right: expect the first of them now and then.
      const expected = values === "unique" ? prng.pick([null, "v0", "v1"]) : prng.pick([null, ...values])
      return { op, expected, value }
    }
    case "incr":
      return { op, by: values === "unique" ? 1 : prng.pick([1, 1, 1, 2, -1]), value: null }
  }
}

/** One lie: another answer, a write left out, two writes or two reads that change places in time, a status that is not true. */
export function spoiled(prng: Prng, history: readonly Operation[]): Operation[] {
  const out = [...history]
  const at = prng.below(out.length)
  const other = prng.below(out.length)
  const a = out[at]
  const b = out[other]
  if (a === undefined || b === undefined) return out
  switch (prng.below(5)) {
    case 0:
      out.splice(at, 1)
      break
    case 1:
      out[at] = { ...a, callNs: b.callNs, returnNs: b.returnNs, process: b.process }
      out[other] = { ...b, callNs: a.callNs, returnNs: a.returnNs, process: a.process }
      break
    case 2:
      if (a.op === "get" && "value" in b) out[at] = { ...a, value: b.value }
      if (a.op === "incr" && b.op === "incr" && a.status === "ok" && b.status === "ok")
        out[at] = { ...a, value: b.value }
      break
    case 3:
      if (a.op === "add" || a.op === "cas") out[at] = { ...a, status: a.status === "ok" ? "fail" : "ok" }
      else if (a.op === "delete") out[at] = { ...a, found: !a.found }
      break
    case 4: {
      // A read, or any other, that was asked much later, in a process of its own.
      const laterNs = 1 + prng.below(a.returnNs - a.callNs + 10)
      out[at] = { ...a, process: 1_000, callNs: a.callNs + laterNs, returnNs: a.returnNs + laterNs }
      break
    }
  }
  return out
}
