/**
 * The line that a person watches while a bench goes on. Where nobody watches, in a log, a line now and then says that it does; a
 * short bench writes none.
 */
export class Progress {
  readonly #stream = process.stderr
  #saidAtMs = performance.now()

  show(text: string): void {
    if (this.#stream.isTTY) this.#stream.write(`\r${text.slice(0, this.#stream.columns - 1)}\x1b[K`)
    else if (performance.now() - this.#saidAtMs > logEveryMs) {
      this.#saidAtMs = performance.now()
      this.#stream.write(`${text}\n`)
    }
  }

  end(): void {
    if (this.#stream.isTTY) this.#stream.write("\r\x1b[K")
  }
}

const logEveryMs = 15_000
