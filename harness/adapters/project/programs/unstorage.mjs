/** unstorage over the cache: items of every kind, raw bytes, lives, names, many at once, and what another process sees. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { CacheClient } from "dcache"
import { dcacheDriver } from "dcache/unstorage"
import { createStorage, prefixStorage } from "unstorage"

const cache = await CacheClient.connect(process.env.DCACHE_NODE)
await cache.clear()
const made = options => createStorage({ driver: dcacheDriver({ nodes: process.env.DCACHE_NODE, ...options }) })
const storage = made({ base: "app" })
const other = made({ base: "app:", ttl: 60 })
const apart = made()

await storage.setItem("s1:a", "test_data")
await storage.setItem("s2:a", { nested: [1, 2, { three: true }] })
await storage.setItem("n", 42)
await storage.setItem("yes", true)
equal(await other.getItem("s1:a"), "test_data")
deepEqual(await other.getItem("s2:a"), { nested: [1, 2, { three: true }] })
equal(await other.getItem("n"), 42)
equal(await other.getItem("yes"), true)
equal(await storage.getItem("nothing"), null)
equal(await storage.hasItem("s1:a"), true)
equal(await storage.hasItem("nothing"), false)
equal(await apart.getItem("app:n"), 42, "a base is the beginning of a name")

const bytes = Uint8Array.of(0, 255, 1, 254)
await storage.setItemRaw("raw", bytes)
deepEqual(new Uint8Array(await other.getItemRaw("raw")), bytes)
equal(await storage.getItemRaw("nothing"), null)

deepEqual((await storage.getKeys()).sort(), ["n", "raw", "s1:a", "s2:a", "yes"])
deepEqual(await storage.getKeys("s1"), ["s1:a"])
deepEqual(await prefixStorage(storage, "s2").getKeys(), ["a"])
deepEqual(await storage.getItems(["n", "nothing"]), [
  { key: "n", value: 42 },
  { key: "nothing", value: null },
])

await other.setItem("fleeting", "x")
ok((await cache.ttl("app:fleeting")) <= 60_000)
await storage.setItem("brief", "x", { ttl: 5 })
ok((await storage.getMeta("brief")).ttl <= 5)
equal(await cache.ttl("app:n"), Number.POSITIVE_INFINITY)

await storage.removeItem("n")
equal(await other.getItem("n"), null)
await dcacheDriver({ cache, base: "app" }).clear("s1:")
deepEqual((await storage.getKeys()).includes("s1:a"), false)
await apart.setItem("kept", 1)
await storage.clear()
deepEqual(await storage.getKeys(), [])
equal(await apart.getItem("kept"), 1)
await Promise.all([storage, other, apart].map(each => each.dispose()))
await cache.close()
