/** Virtual time: what happens next, ordered by time and then by the order of scheduling, so that a run is one fixed sequence. */
export class EventQueue<Event> {
  readonly #times: number[] = []
  readonly #orders: number[] = []
  readonly #events: Event[] = []
  #scheduled = 0
  #now = 0

  /** Time units since the start of the run; about ten make a tick. */
  get now(): number {
    return this.#now
  }

  get size(): number {
    return this.#events.length
  }

  /** Schedules `event` for `delay` units from now. */
  after(delay: number, event: Event): void {
    const at = this.#now + delay
    const order = this.#scheduled++
    let hole = this.#events.length
    this.#times.push(at)
    this.#orders.push(order)
    this.#events.push(event)
    while (hole > 0) {
      const parent = (hole - 1) >> 1
      if (!this.#isLater(parent, at, order)) break
      this.#move(parent, hole)
      hole = parent
    }
    this.#place(hole, at, order, event)
  }

  /** Takes the next event and moves time to it; undefined when nothing is scheduled. */
  next(): Event | undefined {
    if (this.#events.length === 0) return undefined
    const first = this.#events[0] as Event
    this.#now = this.#times[0] as number
    const at = this.#times.pop() as number
    const order = this.#orders.pop() as number
    const event = this.#events.pop() as Event
    if (this.#events.length > 0) this.#sink(at, order, event)
    return first
  }

  /** Brings everything that is due later than `delayMax` units from now forward to then; the order stays. */
  hasten(delayMax: number): void {
    const latest = this.#now + delayMax
    const places = this.#events.map((event, slot) => {
      return {
        event,
        at: Math.min(this.#times[slot] as number, latest),
        due: this.#times[slot] as number,
        order: this.#orders[slot] as number,
      }
    })
    places.sort((one, other) => one.due - other.due || one.order - other.order)
    this.#scheduled += places.length
    for (const [slot, { at, event }] of places.entries()) this.#place(slot, at, this.#scheduled - places.length + slot, event)
  }

  #sink(at: number, order: number, event: Event): void {
    const size = this.#events.length
    let hole = 0
    for (;;) {
      let child = 2 * hole + 1
      if (child >= size) break
      const right = child + 1
      if (right < size && this.#isLater(child, this.#times[right] as number, this.#orders[right] as number)) child = right
      if (this.#isLater(child, at, order)) break
      this.#move(child, hole)
      hole = child
    }
    this.#place(hole, at, order, event)
  }

  #isLater(slot: number, at: number, order: number): boolean {
    const time = this.#times[slot] as number
    return time > at || (time === at && (this.#orders[slot] as number) > order)
  }

  #move(from: number, to: number): void {
    this.#place(to, this.#times[from] as number, this.#orders[from] as number, this.#events[from] as Event)
  }

  #place(slot: number, at: number, order: number, event: Event): void {
    this.#times[slot] = at
    this.#orders[slot] = order
    this.#events[slot] = event
  }
}
