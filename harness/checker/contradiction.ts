/**
 * Proofs that a key's history cannot be explained, each from a few operations, without a search. A search has to show
 * that *every* order fails, which on a busy key takes long; most wrong answers contradict something in plain sight.
 * Finding nothing proves nothing.
 *
 * The first is Gibbons and Korach's (1997) for values that are written once: whoever wrote or saw such a value did so
 * while the register held it, which was one stretch of time. So the register holds it at least from the first return to
 * the last call among them (a *zone*), no two zones overlap, and nothing within a zone may want or do anything else.
 */
import type { KeyHistory } from "./key-history.ts"
import { count, readIs, readIsNot, swap } from "./key-history.ts"
import { absent } from "./model.ts"

export function isContradictory(history: KeyHistory): boolean {
  return contradictsZones(history) || (isCounter(history) && contradictsCounting(history))
}

/** Bounds are events; both are outside. */
type Zone = { readonly value: number; readonly after: number; readonly before: number }

function contradictsZones(history: KeyHistory): boolean {
  const zones: Zone[] = []
  for (let value = 0; value < history.makers.start.length - 1; value++) {
    const zone = zoneOf(history, value)
    if (zone === "contradiction") return true
    if (zone !== undefined) zones.push(zone)
  }
  zones.sort((a, b) => a.after - b.after)
  for (let index = 1; index < zones.length; index++) {
    const [earlier, later] = [zones[index - 1] as Zone, zones[index] as Zone] // within bounds
    if (later.after < earlier.before) return true
  }
  return history.kind.some((_, operation) => {
    const zone = lastBeginningBefore(zones, history.callAt[operation] as number)
    if (zone === undefined || (history.returnAt[operation] as number) > zone.before) return false
    return !keeps(history, operation, zone.value)
  })
}

/** Where the register certainly holds the value; undefined: nowhere for certain, or the value may be written twice. */
function zoneOf(history: KeyHistory, value: number): Zone | "contradiction" | undefined {
  const { makers, needers, kind, result, callAt, returnAt, classMakers, classCallsAt, values, hasUnknownSums } = history
  if (value === absent) return undefined // the register begins with it, and every delete writes it
  if (hasUnknownSums && !Number.isNaN(values.integerOf(value))) return undefined
  const known = operationsOf(makers, value)
  const needing = operationsOf(needers, value)
  const unknownCalls = (classMakers.get(value) ?? []).flatMap(group => classCallsAt[group] ?? [])
  const makerCount = known.length + unknownCalls.length
  if (makerCount === 0) return needing.length > 0 ? "contradiction" : undefined
  if (makerCount > 1 || needing.length === 0) return undefined
  const [maker] = known
  const madeAt = maker === undefined ? (unknownCalls[0] as number) : (callAt[maker] as number) // there is one or the other
  let after = maker === undefined ? Infinity : (returnAt[maker] as number)
  let before = madeAt
  let consumers = 0
  for (const needer of needing) {
    if (needer === maker) return undefined // a swap of a value for itself
    if ((returnAt[needer] as number) < madeAt) return "contradiction"
    if (kind[needer] !== readIs && result[needer] !== value && ++consumers > 1) return "contradiction"
    after = Math.min(after, returnAt[needer] as number)
    before = Math.max(before, callAt[needer] as number)
  }
  return after < before ? { value, after, before } : undefined
}

/** Whether the operation can happen while the register holds the value, and leaves it there. */
function keeps({ kind, need, result }: KeyHistory, operation: number, value: number): boolean {
  if (kind[operation] === readIs) return need[operation] === value
  if (kind[operation] === readIsNot) return need[operation] !== value
  return kind[operation] === swap && need[operation] === value && result[operation] === value
}

/** Nothing but reads and additions of positive amounts: the register only grows. */
function isCounter({ kind, need, result, from, values, classes }: KeyHistory): boolean {
  const isGrowing = kind.every((code, operation) => {
    if (code === readIs) return !Number.isNaN(values.integerOf(need[operation] as number))
    return code === count && values.integerOf(result[operation] as number) > (from[operation] as number)
  })
  return isGrowing && classes.every(({ steps }) => steps.every(step => step.kind === "add-unknown" && step.by > 0))
}

/**
 * No two additions have one sum; nothing is below what was known before it was asked; nothing is above what all
 * additions together can have made of it by the time it was answered, nor below what all that had returned made.
 */
function contradictsCounting(history: KeyHistory): boolean {
  const { events, kind, need, result, from, values, classes } = history
  const sums = new Set<number>()
  let knownLeast = 0
  let most = 0
  let returned = 0
  const leastWhenCalled = new Map<number, number>()
  for (const event of events) {
    if (event < 0) {
      const [step] = classes[~event]?.steps ?? []
      if (step?.kind === "add-unknown") most += step.by
      continue
    }
    const operation = event >> 1
    const isAddition = kind[operation] === count
    const after = values.integerOf((isAddition ? result[operation] : need[operation]) as number)
    const before = isAddition ? (from[operation] as number) : after
    if ((event & 1) === 0) {
      if (isAddition) most += after - before
      leastWhenCalled.set(operation, Math.max(knownLeast, returned))
      continue
    }
    if (before < (leastWhenCalled.get(operation) ?? 0) || after > most) return true
    if (isAddition && sums.has(after)) return true
    if (isAddition) sums.add(after)
    if (isAddition) returned += after - before
    knownLeast = Math.max(knownLeast, after)
  }
  return false
}

function operationsOf({ start, operations }: KeyHistory["makers"], value: number): Int32Array {
  return operations.subarray(start[value], start[value + 1])
}

/** `zones` are ordered and do not overlap. */
function lastBeginningBefore(zones: readonly Zone[], at: number): Zone | undefined {
  let low = 0
  let high = zones.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((zones[middle] as Zone).after < at) low = middle + 1
    else high = middle
  }
  return zones[low - 1]
}
