/** Keyv 5 and Keyv 6 beside each other: lives, namespaces, many keys, iteration; each reads what the other's names hold. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { CacheClient } from "dcache"
import { KeyvDcache } from "dcache/keyv"
import Keyv5 from "keyv"
import Keyv6 from "keyv6"

const cache = await CacheClient.connect(process.env.DCACHE_NODE)
await cache.clear()
const old = new Keyv5({ store: new KeyvDcache({ cache, keyv: 5 }), namespace: "old" })
const users = new Keyv6({ store: new KeyvDcache({ cache }), namespace: "users" })
const others = new Keyv6({ store: new KeyvDcache({ cache }), namespace: "others" })
for (const keyv of [old, users, others]) keyv.on("error", error => Promise.reject(error))

for (const [keyv, name] of [
  [old, "old"],
  [users, "users"],
  [others, "others"],
]) {
  equal(await keyv.set("a", { of: name }, 60_000), true)
  equal(await keyv.set("b", "text"), true)
  deepEqual(await keyv.get("a"), { of: name })
  deepEqual(await keyv.get(["a", "b", "c"]), [{ of: name }, "text", undefined])
  equal(await keyv.has("a"), true)
  equal(await keyv.has("c"), false)
  // The end of an entry is the cache's own: it takes no Keyv to be gone.
  const ttlMs = await cache.ttl(`${name}:a`)
  ok(ttlMs > 50_000 && ttlMs <= 60_000, `${name}:a lives for ${ttlMs} ms`)
  equal(await cache.ttl(`${name}:b`), Number.POSITIVE_INFINITY)
}
await users.setMany([
  { key: "short", value: 1, ttl: 30_000 },
  { key: "long", value: 2 },
])
ok((await cache.ttl("users:short")) <= 30_000)
equal(await cache.ttl("users:long"), Number.POSITIVE_INFINITY)
await users.set("past", 1, 1)
await users.delete(["short", "long"])

const namesOf = async keyv => {
  const names = []
  for await (const [key] of keyv.iterator()) names.push(key)
  return names.sort()
}
deepEqual(await namesOf(old), ["a", "b"])
deepEqual(
  (await namesOf(users)).filter(name => name !== "past"),
  ["a", "b"],
)
await users.clear()
deepEqual(await namesOf(users), [])
deepEqual(await namesOf(others), ["a", "b"])
deepEqual(await namesOf(old), ["a", "b"])
await cache.close()
