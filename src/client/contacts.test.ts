import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { Prng } from "../base/prng.ts"
import { type Contact, Contacts } from "./contacts.ts"
import { defaultSessionLimits } from "./session.ts"

function contacts(seeds: readonly string[], maxAddresses = defaultSessionLimits.maxAddresses): Contacts {
  return new Contacts({ limits: { ...defaultSessionLimits, maxAddresses }, prng: new Prng(1), seeds })
}

function known(all: Contacts, address: string): Contact {
  const contact = all.get(address)
  if (contact === undefined) throw new Error(`${address} is not known`)
  return contact
}

/** The connection is made and ends without having been of use. */
function fail(all: Contacts, address: string, atMs: number): void {
  const contact = known(all, address)
  contact.triedAtMs = atMs
  all.move(contact, { kind: "dialing", giveUpAtMs: atMs + 1 })
  all.lost(contact, atMs)
}

test("seeds are tried first, in their order, and those that failed least before others", () => {
  const all = contacts(["s1", "s2"])
  all.learn(["a"])
  const order: (string | undefined)[] = []
  for (let atMs = 0; atMs < 4; atMs++) {
    const next = all.next(atMs, "patient")
    order.push(next?.address)
    if (next !== undefined) fail(all, next.address, atMs)
  }
  deepEqual(order, ["s1", "s2", "a", undefined])
})

test("of equals one is taken by chance, so that clients spread over a cluster", () => {
  const taken = new Set<string | undefined>()
  for (let seed = 0; seed < 50; seed++) {
    const all = new Contacts({ limits: defaultSessionLimits, prng: new Prng(seed), seeds: ["s"] })
    all.learn(["a", "b", "c"])
    fail(all, "s", 0)
    taken.add(all.next(0, "patient")?.address)
  }
  deepEqual([...taken].sort(), ["a", "b", "c"])
})

const waits = [
  { failures: 1, patientMs: 1_000, urgentMs: 25 },
  { failures: 2, patientMs: 2_000, urgentMs: 50 },
  { failures: 5, patientMs: 16_000, urgentMs: 400 },
  { failures: 6, patientMs: 30_000, urgentMs: 400 },
  { failures: 60, patientMs: 30_000, urgentMs: 400 },
]
for (const { failures, patientMs, urgentMs } of waits) {
  test(`after ${failures} failures in a row it is dialed after ${patientMs} ms, or ${urgentMs} when operations wait`, () => {
    const all = contacts(["s"])
    for (let i = 0; i < failures; i++) fail(all, "s", 0)
    const atMs = all.dialableAtMs(known(all, "s"), "patient")
    ok(atMs >= 0.75 * patientMs && atMs <= patientMs, `${atMs} ms`)
    equal(all.dialableAtMs(known(all, "s"), "urgent"), urgentMs)
  })
}

test("a connection that was of use for a second may be dialed again at once; one that broke sooner may not", () => {
  const all = contacts(["s"])
  for (const { usefulMs, isAtOnce } of [
    { usefulMs: 999, isAtOnce: false },
    { usefulMs: 1_000, isAtOnce: true },
  ]) {
    all.move(known(all, "s"), { kind: "ready", node: "n", sinceMs: 0 })
    equal(all.readyTo("n")?.address, "s")
    all.lost(known(all, "s"), usefulMs)
    equal(all.readyTo("n"), undefined)
    equal(all.dialableAtMs(known(all, "s"), "patient") === usefulMs, isAtOnce)
  }
})

test("an address of another cluster is left alone for half a minute, however urgent", () => {
  const all = contacts(["s"])
  known(all, "s").isForeign = true
  fail(all, "s", 0)
  for (const need of ["patient", "urgent"] as const) equal(all.dialableAtMs(known(all, "s"), need), 30_000)
})

test("beyond the bound the address learned first is forgotten, but no seed, none in use, and none of the newest list", () => {
  const all = contacts(["s"], 4)
  all.learn(["a", "b", "c"])
  all.move(known(all, "a"), { kind: "ready", node: "n", sinceMs: 0 })
  all.learn(["b", "d"])
  deepEqual(
    [...all.all()].map(({ address }) => address),
    ["s", "a", "b", "d"],
  )
  all.learn(["b", "d", "e"])
  deepEqual(
    [...all.all()].map(({ address }) => address),
    ["s", "a", "b", "d"],
    "there is no room, and nothing to forget",
  )
})
