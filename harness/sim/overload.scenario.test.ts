/**
 * A node that needs milliseconds for each thing it does is asked five times as much as it can do. What the real host does about it, and what a real node
 * bears, is in `harness/cluster/overload.test.ts`; here is what the rules make of it, with the same moments again and again.
 */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { questions } from "./client.ts"
import { simulatedCluster } from "./cluster.ts"
import type { Taking } from "./process.ts"

const inputMs = 2
/** Of what it takes in, beats and acknowledgements included. */
const bearablePerSecond = 1_000 / inputMs

function overloaded(taking: Taking, seed: number) {
  const cluster = simulatedCluster({ nodes: 5, seed, config: { copies: 2 } })
  const clients = Array.from({ length: 5 }, () => cluster.client())
  const keys = Array.from({ length: 400 }, (_, i) => `key${i}`)
  const slow = cluster.primaryOf("key0")
  const own = keys.filter(key => cluster.primaryOf(key) === slow)
  for (const client of clients) client.get("key0")
  cluster.run(6_000)
  const { membersEpoch } = cluster.newestView
  slow.slowDown(inputMs, taking)
  const counts = { asked: 0, answered: 0, ended: 0 }
  const codes = new Set<string>()
  let longestInbox = 0
  const ask = () => {
    const n = counts.asked++
    const client = clients[n % clients.length]
    const key = own[n % own.length] ?? ""
    // Reads of one moment go together, in one message.
    const question = n % 4 === 0 ? questions.set(key, `${n}`) : questions.delete(key)
    client?.ask(question, { timeoutMs: 1_000, lane: n }, outcome => {
      counts.ended += 1
      if (outcome.kind === "failed") codes.add(outcome.code)
      else counts.answered += 1
    })
    longestInbox = Math.max(longestInbox, slow.inboxLength)
  }
  const stormMs = 3_000
  for (let i = 0; i < (5 * bearablePerSecond * stormMs) / 1_000; i++)
    cluster.simulator.after((i * 1_000) / (5 * bearablePerSecond), ask)
  cluster.run(stormMs)
  const answeredInStorm = counts.answered
  slow.slowDown(0)
  cluster.run(1_500)
  cluster.checkAtRest()
  cluster.checkAtEnd()
  const hasStayed = cluster.newestView.membersEpoch === membersEpoch
  return { ...counts, answeredInStorm, codes, longestInbox, hasStayed, violations: cluster.violations }
}

for (const seed of [1, 2, 3])
  test(`a node asked five times what it can do keeps its beats, is not removed, and loses nothing (seed ${seed})`, () => {
    const { asked, answeredInStorm, codes, ended, hasStayed, longestInbox, violations } = overloaded(
      "clients-last",
      seed,
    )
    deepEqual(violations, [])
    equal(hasStayed, true)
    equal(ended, asked, "each is told something")
    for (const code of codes) ok(["busy", "timeout"].includes(code), code)
    ok(answeredInStorm > 200, `${answeredInStorm} of ${asked} answered`)
    // Half a second of what arrives.
    ok(longestInbox < 10 * bearablePerSecond, `${longestInbox} wait`)
  })

test("one that takes what arrives in its order does not keep its beats: it is removed, and still nothing is lost", () => {
  const { hasStayed, violations } = overloaded("in-order", 1)
  deepEqual(violations, [])
  equal(hasStayed, false)
})
