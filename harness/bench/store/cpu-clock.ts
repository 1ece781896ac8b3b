/** CPU time so far, in µs. */
export type CpuMicros = {
  readonly thread: number
  /** Of all threads of the process: of those, too, that help with collecting and compiling. */
  readonly process: number
}

export function cpuMicros(): CpuMicros {
  // In this order: the kernel brings the running thread's account up to date when it is asked for the whole process's; asked
  // for the thread's alone it answers as of the last tick, some milliseconds ago.
  const all = process.cpuUsage()
  const own = process.threadCpuUsage()
  return { thread: own.user + own.system, process: all.user + all.system }
}

export function threadCpuMicros(): number {
  return cpuMicros().thread
}
