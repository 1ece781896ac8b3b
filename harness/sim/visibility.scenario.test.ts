/**
 * A write that is not on all of its replicas may yet be undone, so nobody may see it. Random runs show its absence too
 * seldom: the reader has to come between the write and the crash that undoes it. Staged once with the rule, once without.
 */
import { equal } from "node:assert/strict"
import { test } from "node:test"
import { questions } from "./client.ts"
import { type SimulatedCluster, simulatedCluster } from "./cluster.ts"

for (const seed of [1, 2, 3])
  test(`what a primary could not replicate is seen by nobody, and is gone when it dies (seed ${seed})`, () => {
    equal(promiseBroken(simulatedCluster({ nodes: 5, seed })), undefined)
    const without = simulatedCluster({ nodes: 5, seed, rules: { committedReads: false } })
    equal(promiseBroken(without), "what clients were told has an explanation")
  })

function promiseBroken(cluster: SimulatedCluster): string | undefined {
  const [writer, reader] = [cluster.client(), cluster.client()]
  const primary = cluster.primaryOf("user:42")
  equal(writer.set("user:42", "old").kind, "stored")
  reader.get("user:42")

  cluster.lose((from, _to, { kind }) => from === primary && (kind === "repl" || kind === "sync"))
  writer.ask(questions.set("user:42", "new"), { timeoutMs: 300 }, () => {})
  cluster.run(20)
  reader.get("user:42")
  cluster.crash(primary)
  // The writer has given up by the time the shard is served again, so nothing brings its value back.
  cluster.run(1_500)
  equal(reader.get("user:42").text, "old")
  cluster.checkAtEnd()
  return cluster.violations[0]?.promise
}
