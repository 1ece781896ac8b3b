/** The command line as a form, tried with a command that reports what it was given. */
import { deepEqual, equal, match } from "node:assert/strict"
import { Writable } from "node:stream"
import { test } from "node:test"
import { Command, Option } from "clipanion"
import { CommandFailure, UsageError } from "./failure.ts"
import { type CommandTable, run } from "./run.ts"

class EchoCommand extends Command {
  static override paths = [["echo"]]
  static override usage = Command.Usage({
    description: "says what it was given",
    examples: [["Say a word", "dcache echo word"]],
  })

  words = Option.Rest({ required: 1, name: "WORD" })
  times = Option.String("--times", { description: "<N> how often" })
  isLoud = Option.Boolean("--is-loud", false, { description: "with capitals" })
  fail = Option.String("--fail", { description: "<HOW> fails" })

  override async execute(): Promise<number> {
    if (this.fail === "usage") throw new UsageError("not a number", { flag: "--times", text: this.times ?? "" })
    if (this.fail === "refused") throw new CommandFailure(5, "no room")
    if (this.fail === "bug") throw new TypeError("oh")
    this.context.stdout.write(JSON.stringify({ words: this.words, times: this.times, isLoud: this.isLoud }))
    return 0
  }
}

const commands: CommandTable = new Map([["echo", async () => EchoCommand]])

class Text extends Writable {
  text = ""
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

async function tried(argv: string[], env: Record<string, string> = {}) {
  const [stdout, stderr] = [new Text(), new Text()]
  const code = await run(argv, commands, { env, stdin: process.stdin, stdout, stderr, colorDepth: 1 })
  return { code, out: stdout.text, err: stderr.text }
}

const parsed = [
  { argv: ["echo", "a", "--times", "2"], gives: { words: ["a"], times: "2", isLoud: false }, because: "a plain form" },
  {
    argv: ["echo", "a", "-5"],
    gives: { words: ["a", "-5"], isLoud: false },
    because: "a negative number is no option",
  },
  { argv: ["echo", "a", "-.5"], gives: { words: ["a", "-.5"], isLoud: false }, because: "nor is a fraction" },
  {
    argv: ["echo", "--times", "-5", "a"],
    gives: { words: ["a"], times: "-5", isLoud: false },
    because: "nor as a value",
  },
  { argv: ["echo", "--", "--times"], gives: { words: ["--times"], isLoud: false }, because: "-- ends the options" },
  { argv: ["echo", "--", "-h"], gives: { words: ["-h"], isLoud: false }, because: "help after -- is a word" },
  {
    argv: ["echo", "a"],
    env: { DCACHE_TIMES: "7", DCACHE_IS_LOUD: "1" },
    gives: { words: ["a"], times: "7", isLoud: true },
    because: "each option has a variable",
  },
  {
    argv: ["echo", "a", "--times=2"],
    env: { DCACHE_TIMES: "7", DCACHE_IS_LOUD: "no" },
    gives: { words: ["a"], times: "2", isLoud: false },
    because: "what is typed wins",
  },
  { argv: ["echo", "a"], env: { DCACHE_TIMES: "" }, gives: { words: ["a"], isLoud: false }, because: "empty is unset" },
]
for (const { argv, env, gives, because } of parsed) {
  test(`dcache ${argv.join(" ")}: ${because}`, async () => {
    deepEqual(JSON.parse((await tried(argv, env)).out), gives)
  })
}

const refused = [
  { argv: ["frob"], code: 2, err: /^dcache frob: there is no command "frob"; there are echo, help\n$/ },
  { argv: ["--times", "2"], code: 2, err: /^dcache: options come after the command/ },
  { argv: ["echo"], code: 2, err: /^dcache echo: not enough positional arguments; usage: dcache echo \[options\] / },
  { argv: ["echo", "a", "--time", "2"], code: 2, err: /^dcache echo: unsupported option name \("--time"\); usage/ },
  {
    argv: ["echo", "a", "-5x", "--times"],
    code: 2,
    err: /^dcache echo: not enough arguments to option --times; usage/,
  },
  { argv: ["echo", "a", "--fail", "usage", "--times", "x"], code: 2, err: /^dcache echo: --times x: not a number\n$/ },
  {
    argv: ["echo", "a", "--fail", "usage"],
    env: { DCACHE_TIMES: "x" },
    code: 2,
    err: /^dcache echo: DCACHE_TIMES=x: not a number\n$/,
  },
  {
    argv: ["echo", "a"],
    env: { DCACHE_IS_LOUD: "maybe" },
    code: 2,
    err: /^dcache echo: DCACHE_IS_LOUD=maybe: .*1 or 0\n$/,
  },
  { argv: ["echo", "a", "--fail", "refused"], code: 5, err: /^dcache echo: no room\n$/ },
  {
    argv: ["echo", "a", "--fail", "bug"],
    code: 70,
    err: /^dcache echo: internal failure, a bug of dcache: oh \(DCACHE_DEBUG=1 shows where\)\n$/,
  },
  { argv: ["echo", "a", "--fail", "bug"], env: { DCACHE_DEBUG: "1" }, code: 70, err: /^TypeError: oh\n +at / },
  { argv: ["help", "frob"], code: 2, err: /there is no command "frob"/ },
]
for (const { argv, env, code, err } of refused) {
  test(`dcache ${argv.join(" ")} ${env ? JSON.stringify(env) : ""}: exit ${code}, one line`, async () => {
    const answer = await tried(argv, env)
    equal(answer.code, code)
    equal(answer.out, "")
    match(answer.err, err)
  })
}

test("help names every command, its options and an example; no arguments at all are wrong usage", async () => {
  for (const argv of [["help"], ["--help"], ["-h"]]) match((await tried(argv)).out, /echo {2}says what it was given/i)
  for (const argv of [
    ["help", "echo"],
    ["echo", "--help"],
    ["echo", "a", "-h"],
  ]) {
    const { code, out } = await tried(argv)
    equal(code, 0)
    match(out, /--times N +how often/i)
    match(out, /dcache echo word/)
    match(out, /DCACHE_TIMES/)
  }
  const nothing = await tried([])
  deepEqual([nothing.code, nothing.out], [2, ""])
  match(nothing.err, /Exit status:/)
})

test("the version is one line", async () => {
  match((await tried(["--version"])).out, /^\d+\.\d+\.\d+\n$/)
})
