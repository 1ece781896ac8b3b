// harness/examples/get-or-set.ts
import { CacheClient } from "dcache"

type User = { readonly id: number; readonly name: string }
let loads = 0
async function fromDatabase(id: number): Promise<User> {
  loads += 1
  return { id, name: `user ${id}` }
}

await using cache = await CacheClient.connect("127.0.0.1:5555")
const userOf = (id: number) =>
  cache.getOrSet(`user:${id}`, () => fromDatabase(id), { ttlMs: 60_000, staleForMs: 30_000, tags: ["users"] })

const users = await Promise.all([userOf(42), userOf(42), userOf(42)]) // of any number of processes, too
console.log(users[2]?.name, loads)

await cache.invalidateTag("users") // one operation, however many entries bear the tag
await userOf(42)
console.log(loads)
