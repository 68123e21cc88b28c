package devidp

// bounded is a map that forgets its oldest entry when it is full, so that nothing a caller repeats can fill the
// memory. The zero value is of no use; not safe for concurrent use.
type bounded[K comparable, V any] struct {
	limit int
	held  map[K]V
	order []K // insertion order; may name keys that were deleted
}

func newBounded[K comparable, V any](limit int) *bounded[K, V] {
	return &bounded[K, V]{limit: limit, held: map[K]V{}}
}

func (b *bounded[K, V]) get(k K) (V, bool) {
	v, ok := b.held[k]
	return v, ok
}

// put adds a new key. It returns what had to go to make room.
func (b *bounded[K, V]) put(k K, v V) (evicted V, full bool) {
	for len(b.held) >= b.limit && len(b.order) > 0 {
		oldest := b.order[0]
		b.order = b.order[1:]
		if evicted, full = b.held[oldest]; full {
			delete(b.held, oldest)
		}
	}
	b.held[k] = v
	b.order = append(b.order, k)
	if len(b.order) > 2*b.limit {
		b.compact()
	}
	return evicted, full
}

func (b *bounded[K, V]) drop(k K) { delete(b.held, k) }

// compact forgets the order of deleted keys.
func (b *bounded[K, V]) compact() {
	kept := make([]K, 0, len(b.held))
	for _, k := range b.order {
		if _, ok := b.held[k]; ok {
			kept = append(kept, k)
		}
	}
	b.order = kept
}
