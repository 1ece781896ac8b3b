/** The doors of a `dcache node` besides its own: what other protocols than ours come in by, and how they are opened. */
import type { Socket } from "node:net"
import { formatAddress, type HostPort } from "../base/address.ts"
import { RespDoor } from "../doors/resp/door.ts"
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

  /** Throws `CommandFailure` when a port of its own that was asked for is not to be had. */
  async open(daemon: Daemon, { log, resp }: { log: Log; resp: HostPort | undefined }): Promise<void> {
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
    if (resp === undefined) return
    try {
      await this.#resp.listen(resp)
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      const text = `--resp: cannot listen at ${formatAddress(resp)} (${detail}); choose another address`
      throw new CommandFailure(exitCodes.unreachable, text)
    }
  }

  close(): void {
    this.#resp?.close()
  }
}
