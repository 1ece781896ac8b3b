/**
 * The Redis door of a node: whoever speaks that protocol uses the cache through it, every key through any node. Holds the
 * connections and what they share.
 */
import { createServer, type Server, type Socket } from "node:net"
import type { HostPort } from "../../base/address.ts"
import { LocalCache, type LocalNode } from "../local-cache.ts"
import type { ClientState, ServerView } from "./command.ts"
import { RespConnection } from "./connection.ts"

export type RespDoorOptions = {
  readonly node: LocalNode
  readonly version: string
  readonly port: number
  /** Beyond, a connection is refused. */
  readonly maxConnections: number
  readonly wallMs: () => number
  /** An exception that is nobody's wrong input. */
  readonly failed: (error: unknown) => void
}

export class RespDoor {
  readonly #options: RespDoorOptions
  readonly #connections = new Set<RespConnection>()
  readonly #cache: LocalCache
  readonly #server: ServerView
  #listener: Server | undefined
  #lastId = 0

  constructor(options: RespDoorOptions) {
    this.#options = options
    this.#cache = new LocalCache(options.node)
    this.#server = {
      startedAtMs: options.wallMs(),
      version: options.version,
      port: options.port,
      clients: () => [...this.#connections].map(({ client }) => client),
    }
  }

  /** Takes a connection over. With `inline`, commands may be plain lines as well. */
  accept(socket: Socket, inline: "allowed" | "refused"): void {
    const { maxConnections, wallMs, failed } = this.#options
    socket.on("error", () => socket.destroy())
    if (this.#connections.size >= maxConnections) {
      socket.end("-ERR max number of clients reached\r\n")
      return
    }
    const id = ++this.#lastId
    const client: ClientState = {
      id,
      remote: `${socket.remoteAddress}:${socket.remotePort}`,
      local: `${socket.localAddress}:${socket.localPort}`,
      connectedAtMs: wallMs(),
      version: 2,
      name: "",
      library: { name: "", version: "" },
      database: 0,
      lastCommand: "",
    }
    const connection = new RespConnection({
      ...{ socket, client, inline, wallMs, failed },
      cache: this.#cache,
      server: this.#server,
      ended: () => this.#connections.delete(connection),
    })
    this.#connections.add(connection)
  }

  /** Opens a port for this protocol alone. Rejects with the operating system's error. */
  async listen(at: HostPort): Promise<void> {
    const listener = createServer({ noDelay: true }, socket => this.accept(socket, "allowed"))
    this.#listener = listener
    await new Promise<void>((resolve, reject) => {
      listener.once("error", reject)
      listener.listen({ host: at.host, port: at.port }, () => {
        listener.off("error", reject)
        // Later ones concern the accepting of one connection.
        listener.on("error", () => {})
        resolve()
      })
    })
  }

  close(): void {
    this.#listener?.close()
    for (const connection of this.#connections) connection.close()
  }
}
