/** CPU time that this thread has used, in µs. */
export function threadCpuMicros(): number {
  // The kernel brings the running thread's account up to date when the whole process's is asked for; asked for the thread's
  // alone it answers as of the last tick, some milliseconds ago.
  process.cpuUsage()
  const { user, system } = process.threadCpuUsage()
  return user + system
}
