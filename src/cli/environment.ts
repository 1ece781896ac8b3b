/**
 * Every option has an environment variable, so that a container needs no arguments: `--if-absent` is DCACHE_IF_ABSENT.
 * Variables become arguments before anything is parsed, hence mean exactly what the option means; what was typed wins.
 */
import { UsageError } from "./failure.ts"
import type { Env } from "./output.ts"

export type OptionShape = { readonly flag: string; readonly takes: "value" | "nothing" }

export function variableOf(flag: string): string {
  return `DCACHE_${flag.replace(/^--/, "").replaceAll("-", "_").toUpperCase()}`
}

/** The arguments that the environment adds. An empty variable counts as unset: container files often set those. */
export function argumentsFromEnvironment(
  options: readonly OptionShape[],
  typed: readonly string[],
  env: Env,
): { readonly args: readonly string[]; readonly flags: ReadonlySet<string> } {
  const args: string[] = []
  const flags = new Set<string>()
  const end = typed.indexOf("--")
  const typedOptions = end === -1 ? typed : typed.slice(0, end)
  for (const { flag, takes } of options) {
    const text = env[variableOf(flag)]
    if (!text) continue
    if (typedOptions.some(arg => arg === flag || arg.startsWith(`${flag}=`))) continue
    if (takes === "nothing" && !isOn(variableOf(flag), text)) continue
    args.push(takes === "value" ? `${flag}=${text}` : flag)
    flags.add(flag)
  }
  return { args, flags }
}

function isOn(variable: string, text: string): boolean {
  if (["1", "true", "yes", "on"].includes(text.toLowerCase())) return true
  if (["0", "false", "no", "off"].includes(text.toLowerCase())) return false
  throw new UsageError(`${variable}=${text}: it switches an option on or off; write 1 or 0`)
}
