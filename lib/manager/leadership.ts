import { messageOf } from '../base/errors.js'

/** Work that runs on the leader only: begins with the term, ends with it, any number of times. */
export interface Duty {
  readonly name: string
  start(): void
  stop(): Promise<void>
}

/**
 * Begins the duties on gaining the term and ends them on losing it, in order and never overlapping: a term's duties have all
 * ended before the next term's begin, however fast leadership comes and goes.
 */
export class Leadership {
  readonly #make: (term: number) => readonly Duty[]
  readonly #onError: (error: unknown) => void
  #duties: readonly Duty[] = []
  #wanted: number | undefined
  #current: number | undefined
  #work: Promise<void> = Promise.resolve()

  constructor(make: (term: number) => readonly Duty[], onError: (error: unknown) => void) {
    this.#make = make
    this.#onError = onError
  }

  /** Term whose duties run now. */
  get term(): number | undefined {
    return this.#current === this.#wanted ? this.#current : undefined
  }

  gained(term: number): void {
    this.#want(term)
  }

  lost(): void {
    this.#want(undefined)
  }

  /** Resolves when no duty runs. */
  async stop(): Promise<void> {
    this.#want(undefined)
    await this.#work
  }

  #want(term: number | undefined): void {
    if (this.#wanted === term) return
    this.#wanted = term
    this.#work = this.#work.then(() => this.#settle())
  }

  async #settle(): Promise<void> {
    if (this.#current === this.#wanted) return
    for (const duty of [...this.#duties].reverse()) {
      try {
        await duty.stop()
      } catch (error) {
        this.#onError(new Error(`duty ${duty.name} did not stop cleanly: ${messageOf(error)}`, { cause: error }))
      }
    }
    this.#duties = []
    this.#current = undefined
    const term = this.#wanted
    if (term === undefined) return
    const duties = this.#make(term)
    this.#duties = duties
    this.#current = term
    for (const duty of duties) duty.start()
  }
}
