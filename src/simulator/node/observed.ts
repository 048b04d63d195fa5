/**
 * State that tells when it changes, however it is written to: the packet path keeps an index of each node's routes and
 * rules, and whoever plays a command on the node (`node.routes.push(…)`, `link.up = false`) need not know about it.
 */

/** An array whose every write is told. Its elements are not watched: put a new one in place instead. */
export function observedArray<T>(items: T[], changed: () => void): T[] {
  return new Proxy(items, {
    set(target, key, value) {
      const done = Reflect.set(target, key, value);
      changed();
      return done;
    },
    deleteProperty(target, key) {
      const done = Reflect.deleteProperty(target, key);
      changed();
      return done;
    },
  });
}

function observedRecord<T extends object>(record: T, changed: () => void): T {
  return new Proxy(record, {
    set(target, key, value) {
      const done = Reflect.set(target, key, value instanceof Map ? observedMap(value, changed) : value);
      changed();
      return done;
    },
    deleteProperty(target, key) {
      const done = Reflect.deleteProperty(target, key);
      changed();
      return done;
    },
  });
}

/** A map whose writes are told; records put into it are watched as well, and so are the maps inside them. */
export function observedMap<K, V>(entries: Iterable<readonly [K, V]>, changed: () => void): Map<K, V> {
  return new ObservedMap(entries, changed);
}

class ObservedMap<K, V> extends Map<K, V> {
  readonly #changed: () => void;

  constructor(entries: Iterable<readonly [K, V]>, changed: () => void) {
    super();
    this.#changed = changed;
    for (const [key, value] of entries) super.set(key, this.#watched(value));
  }

  #watched(value: V): V {
    if (value === null || typeof value !== 'object' || value instanceof Map) return value;
    for (const [key, member] of Object.entries(value)) {
      if (member instanceof Map && !(member instanceof ObservedMap)) {
        (value as Record<string, unknown>)[key] = new ObservedMap(member, this.#changed);
      }
    }
    return observedRecord(value, this.#changed);
  }

  override set(key: K, value: V): this {
    super.set(key, this.#watched(value));
    this.#changed();
    return this;
  }

  override delete(key: K): boolean {
    const existed = super.delete(key);
    if (existed) this.#changed();
    return existed;
  }

  override clear(): void {
    if (this.size === 0) return;
    super.clear();
    this.#changed();
  }
}
