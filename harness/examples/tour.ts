// harness/examples/tour.ts
import { CacheClient } from "dcache"

await using cache = await CacheClient.connect("127.0.0.1:5555") // any node; the others are learned from it

type User = { readonly name: string }
await cache.set("user:42", { name: "Ada" }, { ttlMs: 30_000 })
const user = await cache.get<User>("user:42") // undefined: a miss
const visits = await cache.incr("visits")
const [a, b] = await cache.getMany<User>(["user:42", "user:43"]) // every node that leads one of them, at once
console.log(user?.name, visits, a?.name, b)

const entry = await cache.getEntry<User>("user:42") // with its version
const won = await cache.set("user:42", { name: "Grace" }, { ifVersion: entry?.version ?? 0 })
console.log(won.kind) // stored, or unmet: somebody was faster

for await (const key of cache.keys({ prefix: "user:" })) console.log(key) // of the whole cluster
console.log(await cache.clear({ prefix: "user:" })) // deleted where they are, and counted
