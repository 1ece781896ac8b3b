/** A WebSocket that stands and its socket, without a network: what arrives is emitted, what is asked of it is noted. */
import { EventEmitter } from "node:events"
import type { Socket } from "node:net"
import { WebSocket } from "ws"

export class FakeWebSocket extends EventEmitter {
  readonly readyState = WebSocket.OPEN
  readonly pings: Buffer[] = []
  readonly closed: { code: number; reason: string }[] = []
  bufferedAmount = 0
  isPaused = false
  readonly #tcp = Object.assign(new EventEmitter(), {
    bytesRead: 0,
    bytesWritten: 0,
    writableLength: 0,
    writableNeedDrain: false,
    setNoDelay: () => {},
    setKeepAlive: () => {},
    write: () => true,
  })

  get websocket(): WebSocket {
    return this as unknown as WebSocket
  }

  get tcp(): Socket {
    return this.#tcp as unknown as Socket
  }

  ping(payload = new Uint8Array(0)): void {
    this.pings.push(Buffer.from(payload))
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  close(code: number, reason: string): void {
    this.closed.push({ code, reason })
  }
}
