/**
 * The operations of one key, laid out for the search: steps as numbers in flat arrays, calls and returns in the order of
 * time, unknown operations grouped into classes of equal ones, and what can be known of them before any search begins.
 */
import type { Operation } from "./history.ts"
import type { Memory, Step, UnknownStep } from "./model.ts"
import { absent, expiresAtTheEarliestNs, knownStep, unknownSteps, Values } from "./model.ts"

// Kinds of known steps, reads first. The search runs over millions of operations: arrays of numbers.
export const readIs = 0
export const readIsNot = 1
export const blindWrite = 2
export const swap = 3
export const take = 4
export const count = 5

export type KeyHistory = {
  readonly values: Values
  /** Operation << 1 for a call, that | 1 for a return; the complement of a class for the call of an unknown one. */
  readonly events: Int32Array
  /** Events after which only one configuration is possible. */
  readonly cuts: Uint8Array

  // By known operation.
  readonly kind: Uint8Array
  readonly need: Int32Array
  readonly result: Int32Array
  /** What a `count` adds to. */
  readonly from: Float64Array
  /** The one value that it needs, or -1. */
  readonly exactNeed: Int32Array
  readonly callAt: Int32Array
  readonly returnAt: Int32Array

  // By class of equal unknown operations.
  readonly classes: readonly UnknownClass[]
  /** The events of their calls, as far as anybody looks at what they do. */
  readonly classCallsAt: readonly (readonly number[])[]
  /** The last event at which something may look at what it writes. */
  readonly classUselessAfter: Int32Array
  readonly hasUnknownSums: boolean

  // By value.
  /** The known operations that need exactly this value, the first to return first. */
  readonly needers: Index
  /** The known operations that write it, the first to be called first. */
  readonly makers: Index
  /** The classes that write it. */
  readonly classMakers: ReadonlyMap<number, readonly number[]>
  /** 1: once nothing needs exactly this value any more, it is like any other such value. */
  readonly mayBeNameless: Uint8Array
}

/** Operations by value: those of value v are `operations[start[v]]` up to `start[v + 1]`. */
export type Index = {
  readonly start: Int32Array
  readonly operations: Int32Array
  /** By operation: where it stands in `operations`; -1: nowhere. */
  readonly place: Int32Array
}

/** Operations that may each do one of the steps once, at any time after their call, or never. */
export type UnknownClass = { readonly steps: readonly UnknownStep[]; readonly callsNs: readonly number[] }

export function layOut(operations: readonly Operation[], memory: Memory): KeyHistory {
  const values = new Values()
  const { steps, known, classes: allClasses } = sorted(operations, values, memory)
  const usefulUntil = usefulUntilNs(steps, known, allClasses, values)
  // An unknown operation that is called when nobody looks at its outcome any more need not be thought of.
  const isUseful = allClasses.map((group, index) => group.callsNs.some(callNs => callNs <= (usefulUntil[index] ?? 0)))
  const classes = allClasses.filter((_, index) => isUseful[index])
  const classUntilNs = usefulUntil.filter((_, index) => isUseful[index])

  const { events, timesNs, callAt, returnAt } = ordered(known, classes, classUntilNs)
  const classUselessAfter = Int32Array.from(classUntilNs, untilNs => lastAtOrBefore(timesNs, untilNs))
  const classCallsAt: number[][] = classes.map(() => [])
  events.forEach((event, at) => {
    if (event < 0) classCallsAt[~event]?.push(at)
  })
  const classMakers = new Map<number, number[]>()
  classes.forEach((group, index) => {
    for (const step of group.steps)
      if (step.kind !== "add-unknown") classMakers.set(step.result, [...(classMakers.get(step.result) ?? []), index])
  })
  const hasUnknownSums = classes.some(group => group.steps.some(step => step.kind === "add-unknown"))
  const columns = columnsOf(steps, values, hasUnknownSums)
  const makes = columns.result.map((made, index) => ((columns.kind[index] as number) <= readIsNot ? -1 : made))
  return {
    values,
    events,
    cuts: cutsOf(events, columns.kind, classUselessAfter),
    ...columns,
    callAt,
    returnAt,
    classes,
    classCallsAt,
    classUselessAfter,
    hasUnknownSums,
    needers: indexOf(columns.exactNeed, returnAt, values.size),
    makers: indexOf(makes, callAt, values.size),
    classMakers,
    mayBeNameless: namelessOnceUnneeded(steps, classes, values),
  }
}

/** Rule 8 of the search. */
function namelessOnceUnneeded(steps: readonly Step[], classes: readonly UnknownClass[], values: Values): Uint8Array {
  const nameless = new Uint8Array(values.size).fill(1)
  nameless[absent] = 0
  let hasSums = false
  for (const step of [...steps, ...classes.flatMap(group => group.steps)])
    if (step.kind === "count" || step.kind === "add-unknown") hasSums = true
    else if (step.kind === "is-not") nameless[step.need] = 0
  for (const group of classes) for (const step of group.steps) if (step.kind === "swap") nameless[step.need] = 0
  if (hasSums)
    for (let value = 0; value < values.size; value++) if (!Number.isNaN(values.integerOf(value))) nameless[value] = 0
  return nameless
}

/** `valueOf`: by operation, -1: none. */
function indexOf(valueOf: Int32Array, orderedBy: Int32Array, valueCount: number): Index {
  const start = new Int32Array(valueCount + 1)
  for (const value of valueOf) if (value >= 0) start[value + 1] = (start[value + 1] as number) + 1
  for (let value = 0; value < valueCount; value++)
    start[value + 1] = (start[value + 1] as number) + (start[value] as number)
  const operations = Int32Array.from(valueOf.keys())
    .filter(index => (valueOf[index] as number) >= 0)
    .sort(
      (a, b) => (valueOf[a] as number) - (valueOf[b] as number) || (orderedBy[a] as number) - (orderedBy[b] as number),
    )
  const place = new Int32Array(valueOf.length).fill(-1)
  operations.forEach((operation, at) => {
    place[operation] = at
  })
  return { start, operations, place }
}

/** Parts operations into known steps and classes of unknown ones. */
function sorted(operations: readonly Operation[], values: Values, memory: Memory) {
  const steps: Step[] = []
  const known: Operation[] = []
  const classes = new Map<string, { steps: UnknownStep[]; callsNs: number[] }>()
  const mayHappen = (possible: UnknownStep[], callNs: number) => {
    const name = JSON.stringify(possible)
    const group = classes.get(name)
    if (group === undefined) classes.set(name, { steps: possible, callsNs: [callNs] })
    else group.callsNs.push(callNs)
  }
  // What is added to keeps the end of what it was added to, so there an end may come to any later value.
  const isCounter = operations.some(({ op }) => op === "incr")
  for (const operation of operations) {
    const expiresNs = expiresAtTheEarliestNs(operation)
    if (expiresNs !== undefined) {
      const end: UnknownStep =
        isCounter || !("value" in operation)
          ? { kind: "write", result: absent }
          : { kind: "swap", need: values.numberOf(operation.value), result: absent }
      mayHappen([end], expiresNs)
    }
    if (operation.status !== "info") {
      const step = knownStep(operation, values, memory)
      if (step === undefined) continue
      steps.push(step)
      known.push(operation)
      continue
    }
    const possible = unknownSteps(operation, values, memory)
    if (possible.length === 0) continue
    mayHappen(possible, operation.callNs)
  }
  return { steps, known, classes: [...classes.values()] }
}

/**
 * Until when something may look at what each class writes (rule 3 of the search). Known operations look until they
 * return. An unknown one that looks needs to be looked at itself, so it looks for as long as that: a fixed point,
 * reached from below.
 */
function usefulUntilNs(
  steps: readonly Step[],
  known: readonly Operation[],
  classes: readonly UnknownClass[],
  values: Values,
): number[] {
  const until = classes.map(() => -1)
  if (classes.length === 0) return until
  const byValue = new Map<number, number>()
  const bySum = new Map<number, number>()
  let anyValue = -1
  let anyInteger = -1
  let unknownSum = -1
  for (let index = 0; index < steps.length; index++) {
    const step = steps[index] as Step // within bounds
    const returnNs = known[index]?.returnNs ?? Infinity
    if (step.kind === "is" || step.kind === "swap") raise(byValue, step.need, returnNs)
    else if (step.kind === "count") raise(bySum, step.from, returnNs)
    else if (step.kind !== "write") anyValue = Math.max(anyValue, returnNs)
    const integer = step.kind === "count" ? 0 : "need" in step ? values.integerOf(step.need) : Number.NaN
    if (!Number.isNaN(integer)) anyInteger = Math.max(anyInteger, returnNs)
  }
  for (let isSettled = false; !isSettled; ) {
    isSettled = true
    for (let index = 0; index < classes.length; index++) {
      for (const step of classes[index]?.steps ?? []) {
        let newUntil: number
        if (step.kind === "add-unknown") newUntil = Math.max(anyValue, anyInteger)
        else {
          const { result } = step
          newUntil = Math.max(anyValue, byValue.get(result) ?? -1, bySum.get(values.integerOf(result)) ?? -1)
          if (!Number.isNaN(values.integerOf(result))) newUntil = Math.max(newUntil, unknownSum)
        }
        if (newUntil <= (until[index] as number)) continue
        until[index] = newUntil
        isSettled = false
        // An unknown incr looks at any whole number, for as long as somebody looks at its sum.
        if (step.kind === "add-unknown") unknownSum = Math.max(unknownSum, newUntil)
        if (step.kind === "swap") raise(byValue, step.need, newUntil)
        if (step.kind === "swap" && !Number.isNaN(values.integerOf(step.need)))
          anyInteger = Math.max(anyInteger, newUntil)
      }
    }
  }
  return until
}

function raise(map: Map<number, number>, key: number, to: number): void {
  if (to > (map.get(key) ?? -1)) map.set(key, to)
}

/** Calls and returns in the order of time; at one instant, calls first: what touches is concurrent. */
function ordered(known: readonly Operation[], classes: readonly UnknownClass[], classUntilNs: readonly number[]) {
  const times: number[] = []
  const codes: number[] = []
  for (let index = 0; index < known.length; index++) {
    const operation = known[index] as Operation // within bounds
    times.push(operation.callNs, operation.returnNs)
    codes.push(index << 1, (index << 1) | 1)
  }
  classes.forEach((group, index) => {
    for (const callNs of group.callsNs) {
      if (callNs > (classUntilNs[index] ?? 0)) continue
      times.push(callNs)
      codes.push(~index)
    }
  })
  const isReturn = (code: number) => (code >= 0 ? code & 1 : 0)
  const order = Uint32Array.from(times, (_, index) => index).sort((a, b) => {
    const byTime = (times[a] as number) - (times[b] as number)
    return byTime || isReturn(codes[a] as number) - isReturn(codes[b] as number) || a - b
  })
  const events = Int32Array.from(order, index => codes[index] as number)
  const timesNs = Float64Array.from(order, index => times[index] as number)
  const callAt = new Int32Array(known.length)
  const returnAt = new Int32Array(known.length)
  events.forEach((event, at) => {
    if (event < 0) return
    if ((event & 1) === 0) callAt[event >> 1] = at
    else returnAt[event >> 1] = at
  })
  return { events, timesNs, callAt, returnAt }
}

function columnsOf(steps: readonly Step[], values: Values, hasUnknownSums: boolean) {
  const kind = new Uint8Array(steps.length)
  const need = new Int32Array(steps.length).fill(-1)
  const result = new Int32Array(steps.length)
  const from = new Float64Array(steps.length)
  const exactNeed = new Int32Array(steps.length).fill(-1)
  // "7" and "007" count alike: then a sum does not name the one value that it was added to.
  const spellings = new Map<number, number>()
  for (const step of steps) if (step.kind === "count" && step.from !== 0) values.numberOf(String(step.from))
  for (let value = 1; value < values.size; value++) {
    const integer = values.integerOf(value)
    if (!Number.isNaN(integer)) spellings.set(integer, (spellings.get(integer) ?? 0) + 1)
  }
  for (let index = 0; index < steps.length; index++) {
    const step = steps[index] as Step // within bounds
    kind[index] = kindOf(step)
    if ("need" in step) need[index] = step.need
    if ("result" in step) result[index] = step.result
    if (step.kind === "is" || step.kind === "swap") exactNeed[index] = step.need
    if (step.kind !== "count") continue
    from[index] = step.from
    // Absent counts as 0: a sum from 0 names the one or the other only where nothing else spells 0.
    if (step.from !== 0 && spellings.get(step.from) === 1) exactNeed[index] = values.numberOf(String(step.from))
    if (step.from === 0 && !spellings.has(0) && !hasUnknownSums) exactNeed[index] = absent
  }
  return { kind, need, result, from, exactNeed }
}

function kindOf(step: Step): number {
  switch (step.kind) {
    case "is":
      return readIs
    case "is-not":
      return readIsNot
    case "write":
      return blindWrite
    case "swap":
      return swap
    case "take":
      return take
    case "count":
    case "add-unknown": // never among the known
      return count
  }
}

/** Rule 7 of the search: the return of an operation that was alone and tells the register, while no class matters. */
function cutsOf(events: Int32Array, kind: Uint8Array, classUselessAfter: Int32Array): Uint8Array {
  const cuts = new Uint8Array(events.length)
  let open = 0
  let unknownUntil = -1
  for (let at = 0; at < events.length; at++) {
    const event = events[at] as number // within bounds
    if (event < 0) unknownUntil = Math.max(unknownUntil, classUselessAfter[~event] as number)
    else if ((event & 1) === 0) open++
    else {
      open--
      const wasAlone = open === 0 && events[at - 1] === event - 1
      if (wasAlone && unknownUntil <= at && kind[event >> 1] !== readIsNot) cuts[at] = 1
    }
  }
  return cuts
}

/** The last index whose time is not after `timeNs`; -1: none. */
function lastAtOrBefore(timesNs: Float64Array, timeNs: number): number {
  let low = 0
  let high = timesNs.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((timesNs[middle] as number) <= timeNs) low = middle + 1
    else high = middle
  }
  return low - 1
}
