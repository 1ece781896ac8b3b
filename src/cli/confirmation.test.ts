/** A made-up terminal, and things that are none. */
import { match, rejects } from "node:assert/strict"
import { PassThrough } from "node:stream"
import { test } from "node:test"
import { confirmed } from "./confirmation.ts"
import { CommandFailure, UsageError } from "./failure.ts"

function terminal(keys: string | undefined): { stdin: PassThrough; stderr: PassThrough } {
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => {} })
  if (keys === undefined) stdin.end()
  else stdin.write(keys)
  return { stdin, stderr: new PassThrough() }
}

for (const keys of ["y\n", "yes\n", " Y \r"])
  test(`${JSON.stringify(keys)} confirms`, async () => {
    const { stdin, stderr } = terminal(keys)
    await confirmed({ consent: "to-ask", stdin, stderr }, "Forget n1?")
    match(String(stderr.read()), /Forget n1\? \[y\/N\] /)
  })

const refusals = [
  { keys: "n\n", code: 1, because: "no is no" },
  { keys: "\n", code: 1, because: "nothing is no" },
  { keys: "yes please\n", code: 1, because: "what is not understood is no" },
  { keys: undefined, code: 1, because: "the end of the input is no" },
  { keys: "\x03", code: 130, because: "Ctrl-C interrupts" },
]
for (const { keys, code, because } of refusals)
  test(`${JSON.stringify(keys)} does not confirm: ${because}`, () =>
    rejects(
      confirmed({ consent: "to-ask", ...terminal(keys) }, "Forget n1?"),
      (error: unknown) => error instanceof CommandFailure && error.exitCode === code,
    ))

test("where nobody can be asked, only consent given in advance counts", async () => {
  const stdin = new PassThrough()
  stdin.end("y\n")
  const stderr = new PassThrough()
  await rejects(
    confirmed({ consent: "to-ask", stdin, stderr }, "Forget n1?"),
    (error: unknown) => error instanceof UsageError && /--yes/.test(error.message),
  )
  await confirmed({ consent: "given", stdin, stderr }, "Forget n1?")
})
