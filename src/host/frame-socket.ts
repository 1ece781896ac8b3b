/**
 * One WebSocket as a stream of binary frames, the same for peers and clients, dialed and accepted: joins the messages
 * of one event-loop turn, bounds what is unsent, and notices a silent other end. Knows nothing of what the frames say.
 */
import type { Socket } from "node:net"
import { type ClientOptions, WebSocket } from "ws"
import { maxFrameBytes, softFrameBytes } from "../protocol/limits.ts"
import type { HostBounds } from "./bounds.ts"
import type { TurnEnd } from "./turn-end.ts"

/** Why a connection ended. */
export type SocketEnd =
  /** Nobody listens there. */
  | { readonly kind: "refused" }
  | { readonly kind: "failed"; readonly detail: string }
  | { readonly kind: "closed-by-peer"; readonly code: number; readonly detail: string }
  /** The other end sent what no frame may be. */
  | { readonly kind: "violation"; readonly detail: string }
  /** The other end reads more slowly than we send. */
  | { readonly kind: "overflow"; readonly unsentBytes: number }
  | { readonly kind: "silent"; readonly silentForMs: number }
  /** The other end began a frame and does not end it. */
  | { readonly kind: "half-frame"; readonly detail: string }
  /** By the owner. */
  | { readonly kind: "dropped"; readonly detail: string }

/** ws does not tell what it holds of frames that are not complete; a test notices when it keeps that elsewhere. */
type Receiving = { readonly _receiver?: { readonly _bufferedBytes: number; readonly _messageLength: number } | null }

/** Of this end of a connection: who dials masks. */
export type Side = "dialed" | "accepted"

/** A message with the bytes that it takes at most. */
export type Sized = { readonly bytes: number }

export type FrameSocketOptions<M extends Sized> = {
  readonly bounds: HostBounds
  readonly turnEnd: TurnEnd
  readonly nowMs: () => number
  /** The messages as one frame, with the header that it has on the socket. */
  readonly encode: (messages: readonly M[], side: Side) => Uint8Array
  /** The connection stands (at once, for one that was accepted). */
  readonly opened?: () => void
  /** Called before each frame is handed over, and before `drained`, and may end the connection: what waited through a pause is too old. */
  readonly beforeFrame?: () => void
  readonly frame: (frame: Uint8Array) => void
  /** After `pauseReading`: nothing is unsent any more. */
  readonly drained?: () => void
  /** Once, whoever ended it, and never from within a call of this object. Nothing is received afterwards. */
  readonly ended: (end: SocketEnd) => void
}

/** A delay that was measured so long ago says nothing of now. */
const lagHoldsMs = 1_000

/** Of the codes of RFC 6455, 7.4.1, those that we close with. */
export const closeCodes = { goingAway: 1001, unsupportedData: 1003, policy: 1008, tooLarge: 1009, tryLater: 1013 }

export class FrameSocket<M extends Sized> {
  readonly #options: FrameSocketOptions<M>
  readonly #websocket: WebSocket
  readonly #side: Side
  #tcp: Socket | undefined
  #isEnded = false
  #pending: M[] = []
  #pendingBytes = 0
  readonly #flush = () => this.#sendPending()
  readonly #goOn = () => this.#drained()

  /** When something was sent that nothing has followed yet; undefined: all is answered. */
  #unansweredSinceMs: number | undefined
  /** Since when there has been a beginning of a frame, as far as anybody looked. */
  #heldSinceMs: number | undefined
  /** Undefined: it has not been asked for a sign of life. */
  #bytesReadAtPing: number | undefined
  #activeAtMs: number
  #reading: "yes" | "paused" = "yes"
  /** A ping on its way that measures the delay; undefined: none. */
  #probedAtMs: number | undefined
  /** What the newest of these carries: tells its answer from those to others, and to pings that ask for a sign of life. */
  #probe = Uint8Array.of(0)
  #lagMs = 0
  #lagAtMs = 0
  /** What the other end had been sent when somebody last looked whether it reads. */
  #handedOverAtLook = 0

  /** Whether an address that a peer told can be dialed at all. */
  static canDial(address: string): boolean {
    return URL.canParse(`ws://${address}/`)
  }

  /** Dials an address that can be dialed. */
  static dial<M extends Sized>(address: string, path: string, options: FrameSocketOptions<M>): FrameSocket<M> {
    const { closingMs, dialMs } = options.bounds
    const dialing: ClientOptions & { closeTimeout: number } = {
      perMessageDeflate: false,
      maxPayload: maxFrameBytes,
      handshakeTimeout: dialMs,
      closeTimeout: closingMs,
      // Masking protects proxies from scripts in browsers, which we are not: a mask of zeros is none, and copies nothing.
      generateMask: mask => mask.fill(0),
    }
    const websocket = new WebSocket(`ws://${address}${path}`, dialing)
    return new FrameSocket(websocket, "dialed", options)
  }

  /** Takes over a connection that was accepted. */
  static accepted<M extends Sized>(websocket: WebSocket, tcp: Socket, options: FrameSocketOptions<M>): FrameSocket<M> {
    const socket = new FrameSocket(websocket, "accepted", options)
    socket.#takeTcp(tcp)
    return socket
  }

  private constructor(websocket: WebSocket, side: Side, options: FrameSocketOptions<M>) {
    this.#options = options
    this.#side = side
    this.#websocket = websocket
    this.#activeAtMs = options.nowMs()
    websocket.on("upgrade", response => this.#takeTcp(response.socket))
    websocket.on("open", () => {
      if (this.#isEnded) return
      options.turnEnd.guarded(() => options.opened?.())
      this.#sendPending()
    })
    websocket.on("message", (data, isBinary) => {
      if (!this.#isEnded) options.beforeFrame?.()
      if (this.#isEnded) return
      this.#heard()
      this.#heldSinceMs = undefined
      if (!isBinary)
        this.close(closeCodes.unsupportedData, "frames are binary", { kind: "violation", detail: "text frame" })
      // ws hands out a Buffer unless it was asked for something else.
      else options.turnEnd.guarded(() => options.frame(data as Buffer))
    })
    websocket.on("ping", () => this.#heard())
    websocket.on("pong", payload => {
      this.#heard()
      if (this.#probedAtMs === undefined || payload[0] !== this.#probe[0]) return
      this.#lagAtMs = options.nowMs()
      this.#lagMs = this.#lagAtMs - this.#probedAtMs
      this.#probedAtMs = undefined
    })
    websocket.on("close", (code, reason) => {
      this.#end({ kind: "closed-by-peer", code, detail: reason.toString() })
    })
    // After an error ws closes by itself; what it was comes first.
    websocket.on("error", error => this.#end(endOf(error)))
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  /** Bytes that have not been handed to the operating system. */
  get unsentBytes(): number {
    return this.#pendingBytes + this.#websocket.bufferedAmount
  }

  /** Whether enough is unsent to wait for `drained` before more is made for this connection. */
  get isFull(): boolean {
    return this.unsentBytes > this.#options.bounds.fullBytes
  }

  /** Nothing is read from here on, but for frames that have arrived already. */
  pauseReading(): void {
    if (this.#isEnded) return
    this.#reading = "paused"
    this.#websocket.pause()
  }

  resumeReading(): void {
    if (this.#isEnded) return
    this.#reading = "yes"
    // It was not listened to: that nothing was heard says nothing.
    this.#heard()
    this.#websocket.resume()
  }

  /**
   * How old, about, what comes from the other end is when it is read: the answer to a ping has to come behind all that was sent before. Asks
   * for it from now on; 0 at first. Not while much is unsent: the ping would wait for the other end to read that.
   */
  lagMs(): number {
    const nowMs = this.#options.nowMs()
    if (this.#probedAtMs !== undefined) return Math.max(this.#lagMs, nowMs - this.#probedAtMs)
    if (nowMs - this.#lagAtMs > lagHoldsMs) this.#lagMs = 0
    if (this.#isEnded || this.#websocket.readyState !== WebSocket.OPEN) return this.#lagMs
    if (this.#websocket.bufferedAmount > softFrameBytes) return this.#lagMs
    this.#probedAtMs = nowMs
    this.#probe = Uint8Array.of((this.#probe[0] ?? 0) + 1)
    this.#websocket.ping(this.#probe)
    return this.#lagMs
  }

  /** The other end let itself be waited for: what was measured meanwhile, or is being, is its own delay. */
  forgetLag(): void {
    this.#probedAtMs = undefined
    this.#lagMs = 0
  }

  /** What there is of a frame that is not complete, and since when this has been asked without a whole one in between. */
  halfFrame(nowMs: number): { readonly bytes: number; readonly sinceMs: number } | undefined {
    const { _receiver: receiver } = this.#websocket as Receiving
    const bytes = receiver === undefined || receiver === null ? 0 : receiver._bufferedBytes + receiver._messageLength
    if (bytes === 0 || this.#isEnded) {
      this.#heldSinceMs = undefined
      return undefined
    }
    // That it does not become complete is our own doing while nothing is read.
    this.#heldSinceMs = this.#reading === "paused" ? nowMs : (this.#heldSinceMs ?? nowMs)
    return { bytes, sinceMs: this.#heldSinceMs }
  }

  /** When anything last passed, either way, or the connection was made. */
  get activeAtMs(): number {
    return this.#activeAtMs
  }

  /** Leaves at the end of this turn. On a connection that has ended, lost: its owner has been or will be told. */
  send(message: M): void {
    if (this.#isEnded) return
    if (this.unsentBytes + message.bytes > this.#options.bounds.unsentBytes) {
      this.#end({ kind: "overflow", unsentBytes: this.unsentBytes })
      this.#websocket.terminate()
      return
    }
    if (this.#pending.length === 0) this.#options.turnEnd.defer(this.#flush)
    this.#pending.push(message)
    this.#pendingBytes += message.bytes
  }

  /** Sends what is pending now: more of this turn will follow. */
  flush(): void {
    this.#sendPending()
  }

  /** Sends what is pending and says good-bye in an orderly way. Nothing that arrives from here on is read. */
  close(code: number, reason: string, end: SocketEnd = { kind: "dropped", detail: reason }): void {
    if (this.#isEnded) return
    this.#sendPending()
    this.#end(end)
    this.#websocket.close(code, shortened(reason))
    // The other end's good-bye has to be read.
    if (this.#reading === "paused") this.#websocket.resume()
  }

  /** Ends at once; what is unsent and unread is lost. */
  drop(detail: string, end: SocketEnd = { kind: "dropped", detail }): void {
    if (this.#isEnded) return
    this.#end(end)
    this.#websocket.terminate()
  }

  /** Looks for signs of life. To be called every now and then. */
  tick(): void {
    if (this.#isEnded || this.#tcp === undefined || this.#unansweredSinceMs === undefined) return
    if (this.#reading === "paused" && this.#isReadFrom(this.#tcp)) return this.#heard()
    const { pingMs, silenceMs, slowestBytesPerMs } = this.#options.bounds
    const silentForMs = this.#options.nowMs() - this.#unansweredSinceMs
    if (silentForMs <= pingMs) return
    const { bytesRead } = this.#tcp
    if (this.#bytesReadAtPing === undefined) {
      this.#bytesReadAtPing = bytesRead
      // Only the newest ping has to be answered (RFC 6455, 5.5.3): it must do for the one that measures, too.
      if (this.#probedAtMs === undefined) this.#websocket.ping()
      else this.#websocket.ping(this.#probe)
    } else if (bytesRead !== this.#bytesReadAtPing) {
      // A large frame on its way is life, long before it is complete.
      this.#heard()
    } else if (silentForMs > silenceMs + this.unsentBytes / slowestBytesPerMs) {
      this.#end({ kind: "silent", silentForMs })
      this.#websocket.terminate()
    }
  }

  /** While nothing is read here, that the other end takes what it is sent is its only sign of life. */
  #isReadFrom(tcp: Socket): boolean {
    const handedOver = tcp.bytesWritten - tcp.writableLength
    const isReading = tcp.writableLength === 0 || handedOver > this.#handedOverAtLook
    this.#handedOverAtLook = handedOver
    return isReading
  }

  #takeTcp(tcp: Socket): void {
    this.#tcp = tcp
    tcp.setNoDelay(true)
    // For the far end of a link that is never used: hours would pass before its machine's disappearance shows.
    tcp.setKeepAlive(true, 30_000)
    tcp.on("drain", () => this.#drained())
  }

  #drained(): void {
    if (this.#isEnded || this.#reading === "yes") return
    // What would show that the other end lives is not read; that it reads is shown by this.
    this.#heard()
    this.#options.beforeFrame?.()
    if (!this.#isEnded) this.#options.turnEnd.guarded(() => this.#options.drained?.())
  }

  #heard(): void {
    this.#activeAtMs = this.#options.nowMs()
    this.#unansweredSinceMs = undefined
    this.#bytesReadAtPing = undefined
  }

  #sendPending(): void {
    if (this.#isEnded || this.#websocket.readyState !== WebSocket.OPEN || this.#tcp === undefined) return
    const messages = this.#pending
    this.#pending = []
    this.#pendingBytes = 0
    // Past ws, which would write the header and the frame as two buffers. All that it writes by itself goes the same way.
    for (const together of cut(messages)) this.#tcp.write(this.#options.encode(together, this.#side))
    // What the system took at once is followed by no "drain".
    if (this.#reading === "paused" && !this.#tcp.writableNeedDrain) this.#options.turnEnd.defer(this.#goOn)
    if (messages.length === 0) return
    this.#activeAtMs = this.#options.nowMs()
    this.#unansweredSinceMs ??= this.#activeAtMs
  }

  #end(end: SocketEnd): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#pending = []
    this.#pendingBytes = 0
    this.#options.turnEnd.defer(() => this.#options.ended(end))
  }
}

/** The messages in runs that each make a frame: a new one begins where the current one has reached its size. */
function* cut<M extends Sized>(messages: readonly M[]): Generator<readonly M[]> {
  let start = 0
  let bytes = 0
  for (const [index, message] of messages.entries()) {
    if (index > start && bytes + message.bytes > softFrameBytes) {
      yield messages.slice(start, index)
      start = index
      bytes = 0
    }
    bytes += message.bytes
  }
  if (start < messages.length) yield messages.slice(start)
}

function endOf(error: Error & { code?: unknown }): SocketEnd {
  if (error.code === "ECONNREFUSED") return { kind: "refused" }
  if (typeof error.code === "string" && error.code.startsWith("WS_ERR_"))
    return { kind: "violation", detail: error.message }
  return { kind: "failed", detail: error.message }
}

/** The reason of a close frame has room for 123 bytes. */
function shortened(reason: string): string {
  return reason.length <= 40
    ? reason
    : Buffer.from(reason)
        .subarray(0, 120)
        .toString()
        .replace(/\ufffd+$/, "")
}
