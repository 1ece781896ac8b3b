/**
 * Reads TypeScript just closely enough to tell code from text: which modules a file names, and what is left of it
 * without comments and the contents of strings. A word in a comment is no use of that word. Knows no rule about either.
 */
export type SourceText = {
  /** The code, with comments gone and every string emptied; what stands inside `${}` is code. Lines stay where they are. */
  readonly code: string
  /** Modules named by import and export declarations and by `import()`, types included, in the order of the file. */
  readonly imports: readonly string[]
}

export function readSource(source: string): SourceText {
  const strings: string[] = []
  const code = new Scanner(source, text => strings.push(text) - 1).code()
  // Each string has left its number behind, so an import is found in the code alone and its text looked up.
  const imports = [...code.matchAll(/(?<![.\w$])(?:from|import)\s*\(?\s*"(\d+)"/g)]
  return {
    code: code.replaceAll(/"\d+"/g, '""'),
    imports: imports.map(match => strings[Number(match[1])] ?? ""),
  }
}

class Scanner {
  readonly #source: string
  readonly #keep: (text: string) => number
  #at = 0
  #out = ""

  constructor(source: string, keep: (text: string) => number) {
    this.#source = source
    this.#keep = keep
  }

  /** Up to the end, or, inside a template, up to the brace that closes `${`. */
  code(until: "end" | "brace" = "end"): string {
    let openBraces = 0
    while (this.#at < this.#source.length) {
      const char = this.#source.charAt(this.#at)
      const next = this.#source.charAt(this.#at + 1)
      if (char === "/" && next === "/") this.#skip(/[^\n]*/y)
      else if (char === "/" && next === "*") this.#skip(/\/\*[^]*?\*\//y)
      else if (char === '"' || char === "'") this.#string(char)
      else if (char === "`") this.#template()
      else if (char === "/" && this.#regexMayStart()) this.#skip(/\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/\w*/y)
      else {
        if (char === "{") openBraces += 1
        if (char === "}" && openBraces-- === 0 && until === "brace") break
        this.#out += char
        this.#at += 1
      }
    }
    return this.#out
  }

  #string(quote: string): void {
    const text = this.#match(quote === '"' ? /"(?:\\[^]|[^"\\\n])*"?/y : /'(?:\\[^]|[^'\\\n])*'?/y)
    this.#out += `"${this.#keep(text.slice(1, -1))}"`
  }

  #template(): void {
    this.#at += 1
    for (;;) {
      this.#skip(/(?:\\[^]|[^`\\$]|\$(?!\{))*/y)
      if (this.#source.charAt(this.#at) !== "$") break
      this.#at += 2
      this.#out += "("
      this.code("brace")
      this.#out += ")"
      this.#at += 1
    }
    this.#at += 1
  }

  /** After a value a slash divides; anywhere else it opens a regular expression. */
  #regexMayStart(): boolean {
    const before = this.#out.trimEnd()
    return !/[\w$)\]}"]$/.test(before) || /(?:^|[^.\w$])(?:return|typeof|case|in|of)$/.test(before)
  }

  /** Leaves only the line breaks of what is skipped. */
  #skip(pattern: RegExp): void {
    const text = this.#match(pattern)
    // Something must stand where a comment or an expression stood, or the words around it would grow together.
    this.#out += ` ${text.replaceAll(/[^\n]/g, "")}`
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    // A lone slash that matches nothing is passed over, so that every call moves on.
    const text = pattern.exec(this.#source)?.[0] ?? this.#source.charAt(this.#at)
    this.#at += text.length
    return text
  }
}
