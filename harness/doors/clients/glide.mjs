/**
 * What a program does with Valkey GLIDE, alone with a server that is no cluster to it.
 *
 *     node glide.mjs PORT OTHER-PORT
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict"
import { Batch, Decoder, GlideClient, GlideClientConfiguration, ProtocolVersion, TimeUnit } from "@valkey/valkey-glide"

const [port, otherPort] = process.argv.slice(2).map(Number)
const exactly = GlideClientConfiguration.PubSubChannelModes.Exact
const matching = GlideClientConfiguration.PubSubChannelModes.Pattern

for (const protocol of [ProtocolVersion.RESP2, ProtocolVersion.RESP3]) {
  const client = await GlideClient.createClient({
    addresses: [{ host: "127.0.0.1", port }],
    protocol,
    requestTimeout: 10_000,
  })
  const key = `glide:${protocol}`
  equal(await client.ping(), "PONG")
  equal(await client.set(key, "value", { expiry: { type: TimeUnit.Seconds, count: 100 } }), "OK")
  equal(await client.get(key), "value")
  ok((await client.ttl(key)) > 90)
  equal(await client.get(`${key}:none`), null)
  equal(await client.mset({ [`${key}:a`]: "1", [`${key}:b`]: "2" }), "OK")
  deepEqual(await client.mget([`${key}:a`, `${key}:b`, `${key}:none`]), ["1", "2", null])
  equal(await client.incrBy(`${key}:a`, 41), 42)
  const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  await client.set(key, binary)
  deepEqual(await client.get(key, { decoder: Decoder.Bytes }), binary)
  deepEqual(await client.exec(new Batch(true).set(key, "1").incr(key).get(key), true), ["OK", 2, "2"])
  deepEqual(await client.exec(new Batch(false).set(key, "x").get(`${key}:b`).del([key]), true), ["OK", "2", 1])
  await rejects(client.exec(new Batch(false).customCommand(["NOSUCH"]), true), /unknown command/)
  await rejects(client.customCommand(["NOSUCH"]), /unknown command/)
  const found = new Set()
  let cursor = "0"
  do {
    const [next, names] = await client.scan(cursor, { match: `${key}:*` })
    for (const name of names) found.add(name)
    cursor = next
  } while (cursor !== "0")
  deepEqual(found, new Set([`${key}:a`, `${key}:b`]))
  client.close()
}

// It listens by the newer version alone.
const listener = await GlideClient.createClient({
  addresses: [{ host: "127.0.0.1", port }],
  protocol: ProtocolVersion.RESP3,
  pubsubSubscriptions: { channelsAndPatterns: { [exactly]: new Set(["news"]), [matching]: new Set(["n?ws"]) } },
})
const publisher = await GlideClient.createClient({ addresses: [{ host: "127.0.0.1", port: otherPort }] })
// The subscription is made while the client is; that it stands, the cluster says.
while ((await publisher.pubsubNumPat()) !== 1 || (await publisher.pubsubNumSub(["news"]))[0]?.numSub !== 1);
equal(await publisher.publish("hello", "news"), 2)
const heard = [await listener.getPubSubMessage(), await listener.getPubSubMessage()]
deepEqual(
  heard.map(({ channel, message, pattern }) => [channel, message, pattern ?? null]).toSorted(),
  [
    ["news", "hello", "n?ws"],
    ["news", "hello", null],
  ].toSorted(),
)
listener.close()
publisher.close()
process.stdout.write("glide: done\n")
