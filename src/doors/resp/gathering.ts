/** Bounds what one command may gather from several keys, or answers, before it can be answered itself. */

/** Of what is read for one command, and of what it is answered. */
export const maxGatheredBytes = 64 * 1024 * 1024

export class Gathering {
  #bytes = 0

  /** Whether there is room for these. If not, they are not to be kept, and there is none for any others. */
  takes(bytes: number): boolean {
    this.#bytes += bytes
    return !this.isTooMuch
  }

  get isTooMuch(): boolean {
    return this.#bytes > maxGatheredBytes
  }
}
