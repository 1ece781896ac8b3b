/** The links of real nodes keep what any network owes the core. */
import { test } from "node:test"
import { networkCases } from "./network-cases.ts"
import { SocketNetwork } from "./socket-network.ts"

for (const { name, run } of networkCases) {
  test(`sockets: ${name}`, async () => {
    const network = new SocketNetwork()
    try {
      await run(network)
    } finally {
      await network.close()
    }
  })
}
