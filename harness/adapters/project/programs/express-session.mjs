/** Two express applications that share their sessions: what one stores the other reads, until it is destroyed or has ended. */
import { deepEqual, equal, ok } from "node:assert/strict"
import { once } from "node:events"
import { createServer } from "node:http"
import { promisify } from "node:util"
import { CacheClient } from "dcache"
import { DcacheStore } from "dcache/express-session"
import express from "express"
import session from "express-session"

const cache = await CacheClient.connect(process.env.DCACHE_NODE)
await cache.clear()

async function application() {
  const store = new DcacheStore({ nodes: process.env.DCACHE_NODE })
  const app = express()
  const cookie = { maxAge: 60_000 }
  app.use(session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false, cookie }))
  app.get("/count", (request, response) => {
    request.session.count = (request.session.count ?? 0) + 1
    response.json({ count: request.session.count })
  })
  app.get("/look", (request, response) => response.json({ count: request.session.count ?? null }))
  app.get("/end", (request, response) => request.session.destroy(() => response.json({})))
  const server = createServer(app).listen(0, "127.0.0.1")
  await once(server, "listening")
  const url = `http://127.0.0.1:${server.address().port}`
  let jar = ""
  const get = async (path, cookie = jar) => {
    const response = await fetch(url + path, { headers: cookie === "" ? {} : { cookie } })
    const set = response.headers.get("set-cookie")
    if (set !== null) jar = set.split(";")[0]
    return response.json()
  }
  return { store, get, cookie: () => jar, close: () => new Promise(done => server.close(done)) }
}

const one = await application()
const two = await application()
deepEqual(await one.get("/count"), { count: 1 })
deepEqual(await one.get("/count"), { count: 2 })
deepEqual(await two.get("/count", one.cookie()), { count: 3 })
deepEqual(await one.get("/look"), { count: 3 })

const [name] = await Array.fromAsync(cache.keys({ prefix: "sess:" }))
ok((await cache.ttl(name)) > 50_000, "lives as long as its cookie")
await cache.touch(name, 20_000)
await one.get("/look")
ok((await cache.ttl(name)) > 50_000, "a request that only reads renews it")

const methods = new DcacheStore({ cache })
const call = (method, ...values) => promisify(method.bind(methods))(...values)
equal(await call(methods.length), 1)
deepEqual(
  (await call(methods.all)).map(({ count }) => count),
  [3],
)
await call(methods.set, "past", { cookie: { expires: new Date(Date.now() - 1) } })
equal(await call(methods.get, "past"), null)
await call(methods.touch, "gone", { cookie: { maxAge: 1_000 } })
equal(await call(methods.get, "gone"), null)

await two.get("/end", one.cookie())
deepEqual(await one.get("/look"), { count: null })
await one.get("/count")
await call(methods.clear)
equal(await call(methods.length), 0)

await Promise.all([one.close(), two.close(), one.store.close(), two.store.close(), methods.close()])
deepEqual(await cache.get("still open"), undefined)
await cache.close()
