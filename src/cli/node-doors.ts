/** The doors of a `dcache node` besides its own: what other protocols than ours come in by, and how they are opened. */
import type { Server, Socket } from "node:net"
import { formatAddress, type HostPort } from "../base/address.ts"
import { RespDoor, respListener } from "../doors/resp/door.ts"
import type { ChannelPort, Daemon } from "../host/daemon.ts"
import { monotonicMs } from "../host/clock.ts"
import type { Log } from "../host/log.ts"
import { version } from "../version.ts"
import { exitCodes } from "./exit-codes.ts"
import { CommandFailure } from "./failure.ts"

/** Connections by Redis' protocol at once. */
const maxRespConnections = 10_000

/** Exists before the daemon does, since the port is open by then. */
export class NodeDoors {
  #resp: RespDoor | undefined
  #respPort: Server | undefined

  /** Takes over a connection of the node's own port. */
  readonly acceptResp = (tcp: Socket): void => {
    if (this.#resp === undefined) tcp.destroy()
    else this.#resp.accept(tcp, "refused")
  }

  /** Before the door is open this node is no member yet: nobody asks it. */
  readonly channels: ChannelPort = {
    receive: (from, message) => this.#resp?.receive(from, message),
    linkLost: peer => this.#resp?.linkLost(peer),
  }

  readonly respFigures = () => this.#resp?.figures()

  /**
   * Takes the port for Redis' clients alone, before the node joins anybody: one that could not keep it would only come and go.
   * Who comes before the door is open is turned away. Throws `CommandFailure` when it is not to be had.
   */
  async reserve(resp: HostPort | undefined): Promise<void> {
    if (resp === undefined) return
    try {
      this.#respPort = await listening(resp, early => {
        if (this.#resp === undefined) early.destroy()
      })
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      const text = `--resp: cannot listen at ${formatAddress(resp)} (${detail}); choose another address`
      throw new CommandFailure(exitCodes.unreachable, text)
    }
  }

  open(daemon: Daemon, log: Log): void {
    this.#resp = new RespDoor({
      node: daemon,
      version,
      port: daemon.listen.port,
      maxConnections: maxRespConnections,
      wallMs: Date.now,
      nowMs: monotonicMs,
      failed: error => {
        const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
        log.event("error", "resp-door", { detail })
      },
    })
    if (this.#respPort !== undefined) this.#resp.serve(this.#respPort)
  }

  close(): void {
    this.#resp?.close()
    this.#respPort?.close()
  }
}

/** Rejects with the operating system's error. */
function listening({ host, port }: HostPort, accept: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const listener = respListener()
    listener.on("connection", accept)
    listener.once("error", reject)
    listener.listen({ host, port }, () => {
      listener.off("error", reject)
      // Later ones concern the accepting of one connection.
      listener.on("error", () => {})
      resolve(listener)
    })
  })
}
