/** The package as a program gets it that requires. */
const { equal } = require("node:assert/strict")
const { CacheClient, CacheError } = require("dcache")

async function main() {
  const cache = await CacheClient.connect(process.env.DCACHE_NODE)
  await cache.set("from", "commonjs")
  equal(await cache.get("from"), "commonjs")
  await cache.close()
  const error = await cache.get("from").catch(error => error)
  equal(error instanceof CacheError, true)
  equal(error.code, "closed")
  for (const name of ["keyv", "express-session", "unstorage", "rate-limiter", "next"])
    equal(typeof require(`dcache/${name}`), "object")
  // A client of one module system is a client to the other: the connection of a program is one.
  const { KeyvDcache } = await import("dcache/keyv")
  const here = new (require("dcache/keyv").KeyvDcache)({ nodes: process.env.DCACHE_NODE })
  const there = new KeyvDcache({ nodes: process.env.DCACHE_NODE })
  await here.set("k", 1)
  equal(await there.get("k"), 1)
  await Promise.all([here.disconnect(), there.disconnect()])
}

main()
