/** Both limiters over one cluster: limits hold across instances, windows end, and no counter is left without an end. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict"
import { once } from "node:events"
import { createServer } from "node:http"
import { CacheClient } from "dcache"
import { DcacheRateLimitStore, rateLimiterDcache } from "dcache/rate-limiter"
import express from "express"
import { rateLimit } from "express-rate-limit"
import { RateLimiterMemcache } from "rate-limiter-flexible"

const cache = await CacheClient.connect(process.env.DCACHE_NODE)
await cache.clear()

// ------------------------------------------------------------------------------------------------ rate-limiter-flexible
const RateLimiterDcache = rateLimiterDcache(RateLimiterMemcache)
const limiters = [1, 2].map(
  () => new RateLimiterDcache({ storeClient: cache, points: 5, duration: 60, keyPrefix: "f" }),
)
const consumed = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => limiters[i % 2].consume("ada")))
equal(consumed.filter(({ status }) => status === "fulfilled").length, 5)
const refused = consumed.find(({ status }) => status === "rejected").reason
ok(refused.msBeforeNext > 50_000 && refused.msBeforeNext <= 60_000, `${refused.msBeforeNext} ms left`)
equal(refused.remainingPoints, 0)
equal(consumed.filter(({ status, value }) => status === "fulfilled" && value.isFirstInDuration).length, 1)
await limiters[0].reward("ada", 16)
await limiters[1].consume("ada")
equal((await limiters[0].get("ada")).consumedPoints, 5)
await limiters[0].block("bob", 30)
await rejects(limiters[1].consume("bob"), ({ msBeforeNext }) => msBeforeNext > 20_000 && msBeforeNext <= 30_000)
equal(await limiters[0].delete("bob"), true)
equal(await limiters[0].delete("bob"), false)
equal(await limiters[0].get("bob"), null)
const unending = new RateLimiterDcache({ storeClient: cache, points: 2, duration: 0, keyPrefix: "u" })
equal((await unending.consume("ada")).msBeforeNext, -1)
const short = new RateLimiterDcache({ storeClient: cache, points: 1, duration: 1, keyPrefix: "s" })
await short.consume("ada")
const { msBeforeNext } = await short.consume("ada").catch(refused => refused)
await new Promise(done => setTimeout(done, msBeforeNext + 50))
await short.consume("ada")

// ------------------------------------------------------------------------------------------------ express-rate-limit
async function application(store) {
  const app = express()
  app.use(rateLimit({ windowMs: 60_000, limit: 3, store, standardHeaders: "draft-8", legacyHeaders: true }))
  app.get("/", (_request, response) => response.json({}))
  const server = createServer(app).listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    get: () => fetch(`http://127.0.0.1:${server.address().port}/`),
    close: () => new Promise(done => server.close(done)),
  }
}
const stores = [1, 2].map(() => new DcacheRateLimitStore({ nodes: process.env.DCACHE_NODE, prefix: "e:" }))
const [one, two] = await Promise.all(stores.map(application))
const statuses = []
for (const { get } of [one, two, one, two, one]) statuses.push((await get()).status)
deepEqual(statuses, [200, 200, 200, 429, 429])
const [counter] = await Array.fromAsync(cache.keys({ prefix: "e:" }))
const client = counter.slice(2)
equal((await stores[0].get(client)).totalHits, 5)
ok((await stores[0].get(client)).resetTime.getTime() > Date.now() + 50_000)
await stores[1].decrement(client)
equal((await stores[0].get(client)).totalHits, 4)
await stores[0].resetKey(client)
equal(await stores[1].get(client), undefined)
await stores[1].decrement(client)
equal(await stores[1].get(client), undefined, "nothing is taken back from a window that has ended")
equal((await two.get()).status, 200)
await stores[0].resetAll()
equal(await cache.get(counter), undefined)

for await (const key of cache.keys())
  if (!key.startsWith("u")) ok((await cache.ttl(key)) <= 60_000, `${key} has no end`)
await Promise.all([one.close(), two.close(), ...stores.map(store => store.shutdown())])
await cache.close()
