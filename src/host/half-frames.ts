/**
 * Frames that have begun and are not complete: bytes that nobody can use yet, and that anybody who reaches the port can make
 * pile up, a frame's worth on each connection. Ends those whose frame comes too slowly, and when all together hold too much,
 * those that hold most. Knows nothing of what frames say.
 */
import type { HostBounds } from "./bounds.ts"
import type { SocketEnd } from "./frame-socket.ts"

/** A connection, as far as this is concerned. */
export type Holder = {
  halfFrame(nowMs: number): { readonly bytes: number; readonly sinceMs: number } | undefined
  drop(detail: string, end: SocketEnd): void
}

/** How often all are looked at: there may be ten thousand, nearly always without one. */
const lookEveryMs = 250

export class HalfFrames {
  readonly #bounds: Pick<HostBounds, "silenceMs" | "slowestFrameBytesPerMs" | "heldBytes">
  #lookAtMs = 0

  constructor(bounds: Pick<HostBounds, "silenceMs" | "slowestFrameBytesPerMs" | "heldBytes">) {
    this.#bounds = bounds
  }

  tick(holders: Iterable<Holder>, nowMs: number): void {
    if (nowMs < this.#lookAtMs) return
    this.#lookAtMs = nowMs + Math.min(lookEveryMs, this.#bounds.silenceMs / 4)
    const { heldBytes, silenceMs, slowestFrameBytesPerMs } = this.#bounds
    let totalBytes = 0
    const holding: { readonly holder: Holder; readonly bytes: number }[] = []
    for (const holder of holders) {
      const half = holder.halfFrame(nowMs)
      if (half === undefined) continue
      const { bytes, sinceMs } = half
      if (nowMs - sinceMs > silenceMs + bytes / slowestFrameBytesPerMs) {
        end(holder, `a frame is not complete after ${Math.round(nowMs - sinceMs)} ms`)
        continue
      }
      totalBytes += bytes
      holding.push({ holder, bytes })
    }
    if (totalBytes <= heldBytes) return
    holding.sort((a, b) => b.bytes - a.bytes)
    for (const { holder, bytes } of holding) {
      totalBytes -= bytes
      end(holder, `${bytes} bytes of a frame, and too many of all connections together`)
      if (totalBytes <= heldBytes) return
    }
  }
}

function end(holder: Holder, detail: string): void {
  holder.drop(detail, { kind: "half-frame", detail })
}
