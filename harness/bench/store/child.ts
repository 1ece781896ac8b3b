/** The process in which one job is done: the job as JSON on the command line, lines of JSON back. */
import { type ExpiryJob, type ExpiryResult, measureExpiry } from "./expiry.ts"
import { type LimitJob, type LimitResult, measureLimit } from "./limit.ts"
import { measureSpeed, type SpeedJob, type SpeedResult } from "./speed.ts"

/** Each kind of job and what comes of it. */
export type Jobs = {
  speed: { job: SpeedJob; result: SpeedResult }
  limit: { job: LimitJob; result: LimitResult }
  expiry: { job: ExpiryJob; result: ExpiryResult }
}
export type Job = { [Kind in keyof Jobs]: { readonly kind: Kind } & Jobs[Kind]["job"] }[keyof Jobs]
export type Line = { readonly progress: string } | { readonly result: unknown }

if (import.meta.main) {
  const job: Job = JSON.parse(process.argv[2] ?? "")
  say({ result: await done(job) })
}

function done(job: Job): Promise<unknown> {
  const progress = (text: string) => say({ progress: text })
  if (job.kind === "speed") return measureSpeed(job, progress)
  return job.kind === "limit" ? measureLimit(job, progress) : measureExpiry(job, progress)
}

function say(line: Line): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
