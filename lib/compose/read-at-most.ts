import { open } from 'node:fs/promises'

/** The first bytes of a file; one without an end (a device, a pipe that never closes its flood) is not read further. */
export async function readAtMost(file: string, bytesMax: number): Promise<Uint8Array> {
  const handle = await open(file)
  try {
    const bytes = Buffer.alloc(bytesMax)
    let length = 0
    while (length < bytesMax) {
      const { bytesRead } = await handle.read(bytes, length, bytesMax - length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return bytes.subarray(0, length)
  } finally {
    await handle.close()
  }
}
