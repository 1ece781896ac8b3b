/** One loader at a time, tags and listings on real nodes with many clients, while nodes die. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { CacheClient } from "../../src/client/client.ts"
import { NodeBench } from "./node-bench.ts"

const keys = Array.from({ length: 40 }, (_, i) => `key:${i}`)
/** A busy machine is slow, not wrong. */
const patient = { timeoutMs: 30_000 }

async function clientsOf(bench: NodeBench, nodes: Parameters<NodeBench["addressesOf"]>[0], count: number) {
  const addresses = bench.addressesOf(nodes)
  return Promise.all(Array.from({ length: count }, () => CacheClient.connect(addresses, patient)))
}

test("many clients load each key once, also while a node dies, and nothing that was loaded is lost", {
  timeout: 180_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster({ name: "n1" }, { name: "n2" }, { name: "n3" })
  const clients = await clientsOf(bench, nodes, 8)
  context.after(() => Promise.all(clients.map(client => client.close())))
  const loads = new Map<string, number>()
  const under = new Set<string>()
  const load = (key: string) => async () => {
    ok(!under.has(key), `${key} is loaded by one at a time`)
    under.add(key)
    const count = (loads.get(key) ?? 0) + 1
    loads.set(key, count)
    await sleep(50)
    under.delete(key)
    return { key, count }
  }
  // Longer than a failover takes: a lease that runs out while nobody can store would be no fault.
  const options = { leaseMs: 30_000, tags: ["all"] }
  const wave = () => Promise.all(clients.flatMap(client => keys.map(key => client.getOrSet(key, load(key), options))))

  const first = await wave()
  ok(first.every(({ count }) => count === 1))
  equal(loads.size, keys.length)
  await clients[0]?.invalidateTag("all")
  const waving = wave()
  const [, , third] = nodes
  ok(third)
  await bench.kill(third)
  const second = await waving
  ok(second.every(({ count }) => count === 2))
  deepEqual([...new Set(loads.values())], [2])
  equal(
    (await wave()).every(({ count }) => count === 2),
    true,
  )
})

test("a listing meets every key once, though a node is killed and another joins in the middle of it", {
  timeout: 180_000,
}, async context => {
  const bench = new NodeBench(context)
  const nodes = await bench.cluster({ name: "n1" }, { name: "n2" }, { name: "n3" })
  const [client] = await clientsOf(bench, nodes, 1)
  const [first, second, third] = nodes
  ok(client && first && second && third)
  context.after(() => client.close())
  const names = Array.from({ length: 20_000 }, (_, i) => `name:${i}`)
  for (let from = 0; from < names.length; from += 2_000)
    await client.setMany(names.slice(from, from + 2_000).map(name => [name, name])) // biome-ignore format: one line says it
  const listed: string[] = []
  for await (const key of client.keys({ prefix: "name:", ...patient })) {
    listed.push(key)
    if (listed.length === 3_000) {
      await bench.kill(third)
      await bench.start("n4", { join: [first] })
    }
  }
  deepEqual(listed.sort(), names.sort())
  equal((await client.size(patient)).entries, names.length)
  equal(await client.clear(patient), names.length)
  equal((await client.size(patient)).entries, 0)
})
