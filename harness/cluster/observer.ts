/**
 * A window onto one node: its own status, and which shards are led by whom in its eyes. It speaks the client protocol over
 * one connection of its own, dialed again whenever it is asked and the connection is gone, and asks that node alone:
 * what the cluster's client would find out through other nodes is not what is wanted here.
 */
import { decodeForClient, encodeClientFrame, packForNode } from "../../src/protocol/codec.ts"
import { clientPath, protoMax, protoMin } from "../../src/protocol/limits.ts"
import type { Address, ClientToNode, NodeToClient, StatusReport } from "../../src/protocol/message.ts"
import { afterDelta, type Routes, routesOf } from "../../src/client/routes.ts"

type Link = { readonly kind: "none" } | { readonly kind: "dialing" | "open"; readonly socket: WebSocket }

export class NodeObserver {
  readonly address: Address
  readonly #clientId: string
  readonly #waiting = new Map<number, (report: StatusReport | undefined) => void>()
  #link: Link = { kind: "none" }
  #asked = 0
  #routes: Routes | undefined
  #lastReport: StatusReport | undefined

  constructor(address: Address, clientId: string) {
    this.address = address
    this.#clientId = clientId
  }

  /** The newest routes that the node told. */
  get routes(): Routes | undefined {
    return this.#routes
  }

  /** What the node last said of itself. */
  get lastReport(): StatusReport | undefined {
    return this.#lastReport
  }

  /** Undefined: no answer in time, whatever the reason. */
  async status(withinMs: number): Promise<StatusReport | undefined> {
    const n = ++this.#asked
    const socket = this.#dialed()
    return new Promise(resolve => {
      const timer = setTimeout(() => settle(undefined), withinMs)
      const settle = (report: StatusReport | undefined) => {
        clearTimeout(timer)
        this.#waiting.delete(n)
        resolve(report)
      }
      this.#waiting.set(n, settle)
      if (this.#link.kind === "open") send(socket, { kind: "status-request", n })
    })
  }

  close(): void {
    if (this.#link.kind !== "none") this.#link.socket.close()
    this.#lost()
  }

  #dialed(): WebSocket {
    if (this.#link.kind !== "none") return this.#link.socket
    const socket = new WebSocket(`ws://${this.address}${clientPath}`)
    socket.binaryType = "arraybuffer"
    this.#link = { kind: "dialing", socket }
    const isCurrent = () => this.#link.kind !== "none" && this.#link.socket === socket
    socket.addEventListener("open", () => {
      if (!isCurrent()) return
      this.#link = { kind: "open", socket }
      send(socket, { kind: "client-hello", clientId: this.#clientId, protoMin, protoMax })
      for (const n of this.#waiting.keys()) send(socket, { kind: "status-request", n })
    })
    socket.addEventListener("message", event => {
      if (isCurrent() && event.data instanceof ArrayBuffer) this.#received(new Uint8Array(event.data))
    })
    const lost = () => {
      if (isCurrent()) this.#lost()
    }
    socket.addEventListener("close", lost)
    socket.addEventListener("error", lost)
    return socket
  }

  #received(frame: Uint8Array): void {
    const decoded = decodeForClient(frame)
    if (decoded.kind === "malformed") throw new Error(`${this.address} sent a malformed frame: ${decoded.reason}`)
    for (const message of decoded.messages) this.#heard(message)
  }

  #heard(message: NodeToClient): void {
    switch (message.kind) {
      case "status":
        this.#lastReport = message.report
        return this.#waiting.get(message.n)?.(message.report)
      case "client-view":
        this.#routes = routesOf(message)
        return
      case "client-view-delta": {
        this.#routes = this.#routes && afterDelta(this.#routes, message)
        // The delta begins elsewhere: the whole is asked for.
        if (!this.#routes && this.#link.kind === "open") send(this.#link.socket, { kind: "client-pull", have: 0 })
        return
      }
      case "client-not-ready":
      case "admin-reply":
      case "reply":
        return
    }
  }

  #lost(): void {
    this.#link = { kind: "none" }
    this.#routes = undefined
    for (const settle of [...this.#waiting.values()]) settle(undefined)
  }
}

function send(socket: WebSocket, message: ClientToNode): void {
  const frame = encodeClientFrame([packForNode(message)])
  // Lives on its own buffer: the socket takes no views onto shared memory.
  socket.send(Uint8Array.from(frame))
}
