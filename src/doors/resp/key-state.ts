/**
 * One key as a command sees it: what is there, and what the command makes of it. A command that must read before it
 * writes works on this, and what it leaves is written under the condition that nothing has changed meanwhile; so it is one
 * step to everyone else. So is what is done to several keys of one shard: a transaction.
 */
import { isUtf8 } from "node:buffer"
import { textFlags } from "../../protocol/limits.ts"
import type { Condition, GroupStep, KeyOperation, Operation } from "../../protocol/message.ts"
import type { LocalCache } from "../local-cache.ts"
import { assert } from "../../base/assert.ts"
import { after, allOf, type Soon } from "../soon.ts"
import { Gathering } from "./gathering.ts"
import { CacheRefusal, CommandError, tooMuchAtOnce } from "./refusals.ts"

/** An entry as it was read. `ttlMs` null: never expires. */
export type Held = {
  readonly bytes: Uint8Array
  readonly flags: number
  readonly version: number
  readonly ttlMs: number | null
}

export class KeyState {
  readonly before: Held | undefined
  #bytes: Uint8Array | undefined
  #flags: number
  #ttlMs: number | null
  #change: "none" | "ttl" | "value" | "deleted" = "none"
  /** Nothing that happened here said anything of the time to live. */
  #keepsTtl = true

  constructor(before: Held | undefined) {
    this.before = before
    this.#bytes = before?.bytes
    this.#flags = before?.flags ?? 0
    this.#ttlMs = before?.ttlMs ?? null
  }

  get bytes(): Uint8Array | undefined {
    return this.#bytes
  }

  /** How native clients read it. */
  get flags(): number {
    return this.#flags
  }

  /** What is left of the time to live; null: never expires. Of a missing key: null. */
  get ttlMs(): number | null {
    return this.#ttlMs
  }

  /** `ttlMs` "keep": as it was, for ever if there was nothing. */
  set(bytes: Uint8Array, ttlMs: number | null | "keep", flags = flagsOf(bytes)): void {
    this.#bytes = bytes
    this.#flags = flags
    if (ttlMs !== "keep") {
      this.#ttlMs = ttlMs
      this.#keepsTtl = false
    }
    this.#change = "value"
  }

  expire(ttlMs: number | null): void {
    this.#ttlMs = ttlMs
    this.#keepsTtl = false
    if (this.#change === "none") this.#change = "ttl"
  }

  delete(): void {
    this.#bytes = undefined
    this.#ttlMs = null
    this.#keepsTtl = false
    this.#change = "deleted"
  }

  /** What makes the cache agree; undefined: nothing was changed. */
  operation(): Extract<KeyOperation, { op: "set" | "delete" | "touch" }> | undefined {
    const { before } = this
    const condition: Condition = before === undefined ? { if: "absent" } : { if: "version", version: before.version }
    switch (this.#change) {
      case "none":
        return undefined
      case "ttl":
        return { op: "touch", ttlMs: this.#ttlMs, condition }
      case "deleted":
        return before === undefined ? undefined : { op: "delete", condition }
      case "value": {
        const value = this.#bytes ?? new Uint8Array()
        return { op: "set", value, flags: this.#flags, ttlMs: this.#keepsTtl ? "keep" : this.#ttlMs, condition }
      }
    }
  }
}

/** The same as a part of what becomes of several keys: also that nothing does, as long as it is what was read. */
export function stepOf(key: Uint8Array, state: KeyState): GroupStep {
  const operation = state.operation()
  if (operation !== undefined) return { key, operation }
  const { before } = state
  const condition: Condition = before === undefined ? { if: "absent" } : { if: "version", version: before.version }
  return { key, operation: { op: "check", condition } }
}

/** Text where it is text, so that native clients read strings as strings. */
export function flagsOf(value: Uint8Array): number {
  return isUtf8(value) ? textFlags : 0
}

/** How often a command on one key begins again because others wrote meanwhile. Each time somebody else got on. */
const maxAttempts = 1_000

/**
 * Reads the key, has `work` look at it and change it, and writes what came of it; again if it changed in between. Throws
 * `CacheRefusal`. `work` must do the same each time it is given the same.
 */
export function onKey<T>(
  cache: LocalCache,
  key: Uint8Array,
  needs: "value" | "value-and-ttl",
  work: (state: KeyState) => T,
  attempt = 1,
): Soon<T> {
  return after(readKey(cache, key, needs), held => {
    const state = new KeyState(held)
    const answer = work(state)
    const operation = state.operation()
    if (operation === undefined) return answer
    return after(cache.ask(key, operation), outcome => {
      if (outcome.kind === "failed") throw new CacheRefusal(outcome)
      if (outcome.kind !== "unmet" && outcome.kind !== "missing") return answer
      if (attempt < maxAttempts)
        return after(makeWay(cache, [key], [held]), () => onKey(cache, key, needs, work, attempt + 1))
      throw new CacheRefusal({ kind: "failed", code: "busy", mayHaveHappened: "no" })
    })
  })
}

/**
 * An entry whose tags were invalidated is nothing to whoever reads it, and in the way of whoever writes where nothing is: it is
 * deleted. It is known by its version, which was seen before it was read in vain: a value that is written meanwhile has another.
 */
function makeWay(cache: LocalCache, keys: readonly Uint8Array[], held: readonly (Held | undefined)[]): Soon<unknown> {
  const missing = keys.filter((_, i) => held[i] === undefined)
  return allOf(
    missing.map(key =>
      after(cache.ask(key, ttlOperation), (life): Soon<unknown> => {
        if (life.kind !== "ttl") return undefined
        const condition = { if: "version", version: life.version } as const
        return after(
          cache.ask(key, getOperation),
          (found): Soon<unknown> =>
            found.kind === "missing" ? cache.ask(key, { op: "delete", condition }) : undefined,
        )
      }),
    ),
  )
}

/**
 * What is to be watched of a key: its version; 0: nothing is there. Then nothing is in the way either, else the key would not be
 * absent for whoever looks at it with that in mind, however often.
 */
export function versionOf(cache: LocalCache, key: Uint8Array): Soon<number> {
  return after(readKey(cache, key, "value"), held =>
    held === undefined ? after(makeWay(cache, [key], [held]), () => 0) : held.version,
  )
}

/** Keys by their names (`nameOf`). */
export type Keys = ReadonlyMap<string, Uint8Array>

/**
 * The same for several keys, which one node must lead. `watched`: by name, the version that the key must still have; 0: it
 * is absent. "changed": one of them has another, and nothing was done.
 */
export function onKeys<T>(
  cache: LocalCache,
  asked: {
    readonly keys: Keys
    readonly needs: "value" | "value-and-ttl"
    readonly watched: ReadonlyMap<string, number>
  },
  work: (stateOf: (key: Uint8Array) => KeyState) => T,
  attempt = 1,
): Soon<T | "changed"> {
  const { keys, needs, watched } = asked
  const gathered = new Gathering()
  const readEach = (key: Uint8Array) =>
    after(readKey(cache, key, needs), held => (gathered.takes(held?.bytes.length ?? 0) ? held : undefined))
  return after(allOf([...keys.values()].map(readEach)), held => {
    if (gathered.isTooMuch) throw new CommandError(tooMuchAtOnce)
    const states = new Map([...keys.keys()].map((name, i) => [name, new KeyState(held[i])]))
    for (const [name, version] of watched) {
      const state = states.get(name)
      if (state !== undefined && (state.before?.version ?? 0) !== version) return "changed"
    }
    const answer = work(key => stateIn(states, key))
    const checks = [...watched].filter(([name]) => !states.has(name)).map(([name, version]) => checkOf(name, version))
    const steps = [...checks, ...[...keys].map(([name, key]) => stepOf(key, stateIn(states, name)))]
    const [first] = steps
    if (first === undefined) return answer
    const isOfOneKey = steps.length === 1 && checks.length === 0
    // What one key alone was read to be, it was at one moment.
    if (isOfOneKey && first.operation.op === "check") return answer
    const operation: Operation = isOfOneKey && first.operation.op !== "check" ? first.operation : { op: "group", steps }
    return after(cache.ask(first.key, operation), outcome => {
      if (outcome.kind === "failed") throw new CacheRefusal(outcome)
      // Of what is watched and not read, nobody has looked again.
      if (outcome.kind === "group-unmet" && outcome.step < checks.length) return "changed"
      if (outcome.kind !== "group-unmet" && outcome.kind !== "unmet" && outcome.kind !== "missing") return answer
      if (attempt < maxAttempts)
        return after(makeWay(cache, [...keys.values()], held), () => onKeys(cache, asked, work, attempt + 1))
      throw new CacheRefusal({ kind: "failed", code: "busy", mayHaveHappened: "no" })
    })
  })
}

function stateIn(states: ReadonlyMap<string, KeyState>, key: Uint8Array | string): KeyState {
  const state = states.get(typeof key === "string" ? key : nameOf(key))
  assert(state !== undefined, "a command touches the keys that it names")
  return state
}

function checkOf(name: string, version: number): GroupStep {
  const condition: Condition = version === 0 ? { if: "absent" } : { if: "version", version }
  return { key: Buffer.from(name, "latin1"), operation: { op: "check", condition } }
}

/** One character a byte. */
export function nameOf(key: Uint8Array): string {
  return Buffer.from(key).toString("latin1")
}

/** Value, version and, where asked for, time to live of one moment. */
export function readKey(cache: LocalCache, key: Uint8Array, needs: "value" | "value-and-ttl"): Soon<Held | undefined> {
  return after(cache.ask(key, getOperation), found => {
    if (found.kind === "failed") throw new CacheRefusal(found)
    if (found.kind !== "value") return undefined
    const { value: bytes, flags, version } = found
    if (needs === "value") return { bytes, flags, version, ttlMs: null }
    return after(cache.ask(key, ttlOperation), (life): Soon<Held | undefined> => {
      if (life.kind === "failed") throw new CacheRefusal(life)
      // Of another version: somebody wrote between the two.
      if (life.kind !== "ttl" || life.version !== version) return readKey(cache, key, needs)
      return { bytes, flags, version, ttlMs: life.ttlMs }
    })
  })
}

export const getOperation: Operation = { op: "get" }
export const ttlOperation: Operation = { op: "ttl" }
