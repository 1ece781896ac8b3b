/**
 * The cache as a door of this node uses it: the client's own session over a connection that never leaves the process. So a
 * command that came in by another protocol is routed, repeated under its number and given up by the same rules as a
 * client's, with one hop to the primary at most ("Client protocol" in `src/core/README.md`).
 */
import { randomBytes } from "node:crypto"
import { Prng } from "../base/prng.ts"
import { type CallOutcome, Session } from "../client/session.ts"
import type { ClientToNode, NodeToClient, Operation, StatusReport } from "../protocol/message.ts"

/** A client's connection to this process's own node. */
export type LocalConnection = {
  send(message: ClientToNode): void
  close(): void
}

export type LocalNode = {
  /** What clients dial; names the connection, is never dialed. */
  readonly clientAddress: string
  status(): StatusReport
  /** `receive` is called after `connectLocal` and `send` have returned, in the order of the answers. */
  connectLocal(receive: (message: NodeToClient) => void): LocalConnection
}

/** A call waits this long at most, as a client's does unless told otherwise. */
const timeoutMs = 5_000

export class LocalCache {
  readonly #session: Session
  readonly #node: LocalNode
  #connection: LocalConnection | undefined
  #timer: { readonly timeout: NodeJS.Timeout; readonly atMs: number } | undefined
  #isClosed = false

  constructor(node: LocalNode) {
    this.#node = node
    const address = node.clientAddress
    this.#session = new Session({
      clientId: randomBytes(8).toString("hex"),
      seeds: [address],
      ports: {
        send: (to, message) => this.#send(to, message),
        hangUp: () => this.#hangUp(),
      },
      prng: new Prng(randomBytes(4).readUInt32BE()),
      now: () => performance.now(),
      // Through this node alone: it knows the way.
      limits: { maxConnections: 1, keepReady: 1, maxInFlight: 3_000, maxQueued: 50_000 },
    })
    this.#session.start()
    this.#arm()
  }

  status(): StatusReport {
    return this.#node.status()
  }

  /** Every outcome is a value. The bytes handed in must not change before it is there. */
  ask(key: Uint8Array, operation: Operation): Promise<CallOutcome> {
    return new Promise(resolve => {
      this.#session.call({ key, operation, timeoutMs, done: resolve })
      this.#arm()
    })
  }

  /** Ends every call, as "closed". */
  close(): void {
    this.#isClosed = true
    this.#session.close()
    this.#hangUp()
    clearTimeout(this.#timer?.timeout)
  }

  #send(to: string, message: ClientToNode): void {
    if (this.#isClosed) return
    if (to !== this.#node.clientAddress) {
      // Others are named by the view; they are this node's business.
      queueMicrotask(() => this.#step(() => this.#session.connectionLost(to)))
      return
    }
    if (this.#connection === undefined) {
      const connection = this.#node.connectLocal(answer => {
        if (this.#connection === connection) this.#step(() => this.#session.received(to, answer))
      })
      this.#connection = connection
      queueMicrotask(() => this.#step(() => this.#session.connectionOpened(to)))
    }
    this.#connection.send(message)
  }

  #hangUp(): void {
    this.#connection?.close()
    this.#connection = undefined
  }

  #step(step: () => void): void {
    if (this.#isClosed) return
    step()
    this.#arm()
  }

  /** One timer for the session's next time, moved only when that is earlier. */
  #arm(): void {
    const atMs = this.#session.nextWakeAtMs()
    if (atMs === Number.POSITIVE_INFINITY || this.#isClosed) return
    if (this.#timer !== undefined) {
      if (this.#timer.atMs <= atMs) return
      clearTimeout(this.#timer.timeout)
    }
    const timeout = setTimeout(
      () => {
        this.#timer = undefined
        this.#step(() => this.#session.tick())
      },
      Math.max(0, atMs - performance.now()),
    )
    this.#timer = { timeout, atMs }
  }
}
