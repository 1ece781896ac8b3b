/**
 * What outlives the processes of one machine: the snapshot that a node writes at a planned stop. It is there whole or not
 * at all, as a file is that was renamed into place, and can be taken out of use once.
 */
import { assert } from "../../src/base/assert.ts"
import { decodeSnapshotBlock, encodeSnapshotBlock } from "../../src/protocol/codec.ts"
import type { SnapshotBlock } from "../../src/protocol/message.ts"

export class Disk {
  #blocks: readonly Uint8Array[] | undefined

  /** Replaces what was there. */
  write(blocks: readonly SnapshotBlock[]): void {
    this.#blocks = blocks.map(block => encodeSnapshotBlock(block))
  }

  /** Undefined: nothing to start from. */
  read(): SnapshotBlock[] | undefined {
    return this.#blocks?.map(bytes => {
      const decoded = decodeSnapshotBlock(bytes)
      assert(decoded.kind === "block", `what was written down is well-formed: ${JSON.stringify(decoded)}`)
      return decoded.block
    })
  }

  /** Nobody starts from it any more. */
  takeOutOfUse(): void {
    this.#blocks = undefined
  }

  /** As a careless person makes one. */
  copy(): Disk {
    const copy = new Disk()
    copy.#blocks = this.#blocks
    return copy
  }
}
