// Counts over time, as the server keeps them: a ring of seconds and one of minutes for each series.

const SIZES = { seconds: 600, minutes: 1440 };
const KINDS = ["verdicts", "fired", "shadow", "others"];

/** The spans of time that can be shown: how long, and how long one bar of it is, in seconds. */
export const RANGES = {
  "10m": { ring: "seconds", length: 600, bar: 5, per: "5 s" },
  "1h": { ring: "minutes", length: 3600, bar: 60, per: "min" },
  "6h": { ring: "minutes", length: 21_600, bar: 300, per: "5 min" },
  "24h": { ring: "minutes", length: 86_400, bar: 900, per: "15 min" },
};

export class Counts {
  constructor() {
    this.started = 0;
    this.past = {};
    this.empty();
  }

  empty() {
    this.rings = {};
    for (const ring of Object.keys(SIZES)) {
      this.rings[ring] = { last: 0, tables: Object.fromEntries(KINDS.map((kind) => [kind, new Map()])) };
    }
  }

  /** Take what the server said. Another process of it counts from nothing. */
  take(update) {
    if (update.started !== this.started) {
      this.empty();
      this.started = update.started;
    }
    this.wall = update.wall;
    this.counted = update.counted;
    this.past = update.past;
    for (const ring of Object.keys(SIZES)) this.span(ring, update[ring]);
  }

  span(name, span) {
    const ring = this.rings[name];
    const size = SIZES[name];
    const first = span.start / span.step;
    const last = first + span.slots - 1;
    const others = { refused: span.refused, "by hand": span.by_hand };
    for (const kind of KINDS) {
      const table = ring.tables[kind];
      for (const counts of table.values()) this.clear(counts, Math.min(first, ring.last + 1), last, size);
      for (const [series, line] of Object.entries(kind === "others" ? others : span[kind])) {
        if (!line) continue;
        if (!table.has(series)) table.set(series, new Uint32Array(size));
        const counts = table.get(series);
        line[1].forEach((n, i) => { counts[(line[0] + i) % size] = n; });
      }
    }
    ring.last = last;
  }

  clear(counts, first, last, size) {
    if (last - first >= size) counts.fill(0);
    else for (let slot = first; slot <= last; slot += 1) counts[slot % size] = 0;
  }

  /** The bars of a kind of series over a range: when each begins (seconds), and the counts by name. */
  bars(kind, range) {
    const { ring: name, length, bar } = RANGES[range];
    const ring = this.rings[name];
    const step = name === "seconds" ? 1 : 60;
    const per = bar / step;
    const end = Math.floor(ring.last / per);
    const number = length / bar;
    const starts = Array.from({ length: number }, (_, i) => (end - number + 1 + i) * bar);
    const oldest = ring.last - SIZES[name];
    const series = new Map();
    for (const [named, counts] of ring.tables[kind]) {
      const made = starts.map((start) => {
        let sum = 0;
        for (let slot = start / step; slot < start / step + per; slot += 1) {
          if (slot > oldest && slot <= ring.last) sum += counts[slot % SIZES[name]];
        }
        return sum;
      });
      series.set(named, made);
    }
    return { starts, bar, series };
  }

  /** How much there was in the last slots of a ring, by name, the newest `skip` left out. */
  recent(kind, name, slots, skip = 0) {
    const ring = this.rings[name];
    const size = SIZES[name];
    const sums = new Map();
    for (const [named, counts] of ring.tables[kind]) {
      let sum = 0;
      for (let slot = ring.last - slots - skip + 1; slot <= ring.last - skip; slot += 1) sum += counts[((slot % size) + size) % size];
      if (sum) sums.set(named, sum);
    }
    return sums;
  }

  /** The minutes of the last hour of one rule, for a small picture. */
  hour(kind, name) {
    const ring = this.rings.minutes;
    const counts = ring.tables[kind].get(name);
    return Array.from({ length: 60 }, (_, i) => (counts ? counts[(ring.last - 59 + i) % SIZES.minutes] : 0));
  }
}

export const total = (sums) => [...sums.values()].reduce((a, b) => a + b, 0);
