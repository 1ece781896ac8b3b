/** cache-manager over Keyv over the cache: reading, lives in ms, `wrap`, many keys, clearing; two instances see one another. */
import { deepEqual, equal } from "node:assert/strict"
import { createCache } from "cache-manager"
import { KeyvDcache } from "dcache/keyv"
import { Keyv } from "keyv"

const made = () => {
  const store = new Keyv({ store: new KeyvDcache({ nodes: process.env.DCACHE_NODE, keyv: 5 }), namespace: "cm" })
  return createCache({ stores: [store], ttl: 60_000 })
}
const one = made()
const two = made()
await one.clear()
await one.set("a", { n: 1 })
deepEqual(await two.get("a"), { n: 1 })
let loads = 0
const load = () => {
  loads += 1
  return { loaded: loads }
}
deepEqual(await one.wrap("w", load, 10_000), { loaded: 1 })
deepEqual(await two.wrap("w", load, 10_000), { loaded: 1 })
await two.mset([
  { key: "b", value: 2 },
  { key: "c", value: 3 },
])
deepEqual(await one.mget(["b", "c", "d"]), [2, 3, undefined])
await one.mdel(["b", "c"])
equal(await two.get("b"), undefined)
await one.del("a")
equal(await two.get("a"), undefined)
await two.clear()
equal(await one.get("w"), undefined)
await one.disconnect()
await two.disconnect()
