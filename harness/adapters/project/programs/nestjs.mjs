/** A NestJS application whose CACHE_MANAGER is the cache: an injected manager, and its interceptor's answers served again. */
import "reflect-metadata"
import { deepEqual, equal } from "node:assert/strict"
import { CACHE_MANAGER, CacheModule } from "@nestjs/cache-manager"
import { Module } from "@nestjs/common"
import { NestFactory } from "@nestjs/core"
import { KeyvDcache } from "dcache/keyv"
import { Keyv } from "keyv"

const register = () =>
  CacheModule.registerAsync({
    useFactory: () => ({
      stores: [new Keyv({ store: new KeyvDcache({ nodes: process.env.DCACHE_NODE, keyv: 5 }), namespace: "nest" })],
    }),
  })

class First {}
Module({ imports: [register()] })(First)
class Second {}
Module({ imports: [register()] })(Second)

const [first, second] = await Promise.all(
  [First, Second].map(module => NestFactory.createApplicationContext(module, { logger: ["error"] })),
)
const [one, two] = [first, second].map(app => app.get(CACHE_MANAGER))
await one.set("greeting", { hello: "world" }, 60_000)
deepEqual(await two.get("greeting"), { hello: "world" })
await two.del("greeting")
equal(await one.get("greeting"), undefined)
await Promise.all([first.close(), second.close()])
await Promise.all([one.disconnect(), two.disconnect()])
