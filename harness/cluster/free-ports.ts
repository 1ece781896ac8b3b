/** Ports of loopback on which nothing listens, for nodes that must come back at the address that they had. */
import { createServer, type Server } from "node:net"
import type { Prng } from "../../src/base/prng.ts"
import { CouldNotRun } from "./could-not-run.ts"

/**
 * From here on, and below 32768 where Linux begins to hand out ports by itself: a port from that range may be taken by
 * anybody's outgoing connection in the moment in which its node is down.
 */
const lowestPort = 20_000
const portCount = 12_000

/** Distinct ports. Another process can still take one before it is used; the node that finds it taken says so. */
export async function freePorts(count: number, prng: Prng): Promise<number[]> {
  const held: Server[] = []
  const ports: number[] = []
  try {
    // Trying each candidate at most once bounds the search; a random start keeps two runs out of each other's way.
    const start = prng.below(portCount)
    for (let tried = 0; tried < portCount && ports.length < count; tried++) {
      const port = lowestPort + ((start + tried) % portCount)
      const server = await listening(port)
      if (!server) continue
      held.push(server)
      ports.push(port)
    }
  } finally {
    await Promise.all(held.map(server => new Promise(resolve => server.close(resolve))))
  }
  if (ports.length < count) throw new CouldNotRun(`only ${ports.length} of ${count} ports are free`)
  return ports
}

function listening(port: number): Promise<Server | undefined> {
  return new Promise(resolve => {
    const server = createServer()
    server.once("error", () => resolve(undefined))
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => resolve(server))
  })
}
