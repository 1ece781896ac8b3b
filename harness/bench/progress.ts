/** The line that a person watches while a bench goes on; nothing where nobody watches. */
export class Progress {
  readonly #stream = process.stderr

  show(text: string): void {
    if (this.#stream.isTTY) this.#stream.write(`\r${text.slice(0, this.#stream.columns - 1)}\x1b[K`)
  }

  end(): void {
    if (this.#stream.isTTY) this.#stream.write("\r\x1b[K")
  }
}
