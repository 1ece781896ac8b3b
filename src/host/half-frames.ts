/**
 * Frames that have begun and are not complete: bytes that nobody can use yet, and that anybody who reaches the port can make
 * pile up, a frame's worth on each connection. Ends those whose frame comes too slowly, and when all together hold too much,
 * those that hold most. Knows nothing of what frames say.
 */
import type { HostBounds } from "./bounds.ts"
import type { SocketEnd } from "./frame-socket.ts"

/** A connection, as far as this is concerned. */
export type Holder = {
  readonly isEnded: boolean
  /** Of the frame that is not complete; 0: there is none. */
  readonly heldBytes: number
  /** Since when it has not been complete; undefined: there is none. */
  readonly heldSinceMs: number | undefined
  drop(detail: string, end: SocketEnd): void
}

export function endHoarders(
  holders: Iterable<Holder>,
  { bounds, nowMs }: { bounds: Pick<HostBounds, "silenceMs" | "slowestFrameBytesPerMs" | "heldBytes">; nowMs: number },
): void {
  let totalBytes = 0
  const holding: Holder[] = []
  for (const holder of holders) {
    const { heldBytes, heldSinceMs, isEnded } = holder
    if (isEnded || heldBytes === 0 || heldSinceMs === undefined) continue
    const forMs = nowMs - heldSinceMs
    if (forMs > bounds.silenceMs + heldBytes / bounds.slowestFrameBytesPerMs) {
      end(holder, `a frame is not complete after ${Math.round(forMs)} ms`)
      continue
    }
    totalBytes += heldBytes
    holding.push(holder)
  }
  if (totalBytes <= bounds.heldBytes) return
  holding.sort((a, b) => b.heldBytes - a.heldBytes)
  for (const holder of holding) {
    totalBytes -= holder.heldBytes
    end(holder, `${holder.heldBytes} bytes of a frame, and too many of all connections together`)
    if (totalBytes <= bounds.heldBytes) return
  }
}

function end(holder: Holder, detail: string): void {
  holder.drop(detail, { kind: "half-frame", detail })
}
