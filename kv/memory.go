package kv

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"
)

// DefaultMemoryBytes bounds a Memory whose configuration says nothing: room for about half a million revocations.
const DefaultMemoryBytes = 128 << 20

// entryOverhead is what an entry costs beyond its key and value: map slot, item, heap slot (measured with 100,000 entries).
const entryOverhead = 192

// MemoryConfig configures NewMemory; its zero value works.
type MemoryConfig struct {
	MaxBytes int              // default DefaultMemoryBytes; a write past it is ErrFull, nothing is evicted early
	Now      func() time.Time // default time.Now
}

// Memory is a Store and a Feed within the process: what it holds is gone with it, and other replicas do not see it. It refuses writes
// when full rather than evicting, because a lease or a revocation that vanishes early is worse than one that fails loudly.
type Memory struct {
	now func() time.Time
	max int

	mu      sync.RWMutex
	items   map[string]*item // key → live or not yet swept entry
	queue   expiryQueue      // soonest to expire first
	bytes   int
	version Version

	feed      sync.Mutex
	listeners map[*queue]struct{}
}

type item struct {
	key     string
	entry   Entry
	at      int // position in the queue
	weighed int
}

// NewMemory makes an empty store.
func NewMemory(c MemoryConfig) *Memory {
	if c.MaxBytes <= 0 {
		c.MaxBytes = DefaultMemoryBytes
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Memory{now: c.Now, max: c.MaxBytes, items: map[string]*item{}, listeners: map[*queue]struct{}{}}
}

// Get implements Store.
func (m *Memory) Get(_ context.Context, key string) (Entry, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	it := m.live(key)
	if it == nil {
		return Entry{}, ErrNotFound
	}
	e := it.entry
	e.Value = slices.Clone(e.Value)
	return e, nil
}

// GetMany implements Store; here the entries are all of the same moment.
func (m *Memory) GetMany(_ context.Context, keys ...string) ([]Entry, error) {
	if err := CheckKeys(keys); err != nil {
		return nil, err
	}
	entries := make([]Entry, len(keys))
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i, key := range keys {
		if it := m.live(key); it != nil {
			entries[i] = it.entry
			entries[i].Value = slices.Clone(it.entry.Value)
		}
	}
	return entries, nil
}

// Put implements Store.
func (m *Memory) Put(_ context.Context, w Write) (Version, error) {
	if err := w.Check(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep()
	old := m.live(w.Key)
	if !holds(old, w.If) {
		return 0, ErrConflict
	}
	weight := len(w.Key) + len(w.Value) + entryOverhead
	grow := weight
	if old != nil {
		grow -= old.weighed
	}
	if m.bytes+grow > m.max {
		return 0, ErrFull
	}
	if old != nil {
		m.remove(old)
	}
	m.version++
	it := &item{key: w.Key, weighed: weight, entry: Entry{
		Value: slices.Clone(w.Value), Version: m.version, Expires: m.now().Add(w.TTL),
	}}
	m.items[w.Key] = it
	m.bytes += weight
	heap.Push(&m.queue, it)
	return m.version, nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, key string, expected Version) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	it := m.live(key)
	if it == nil {
		return nil
	}
	if !holds(it, expected) {
		return ErrConflict
	}
	m.remove(it)
	return nil
}

// Ping implements Store: memory always answers.
func (m *Memory) Ping(context.Context) error { return nil }

// Len is the number of entries held, expired ones that were not swept yet included.
func (m *Memory) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.items)
}

func holds(it *item, want Version) bool {
	switch {
	case want == Any:
		return true
	case it == nil:
		return want == Absent
	default:
		return it.entry.Version == want
	}
}

func (m *Memory) live(key string) *item {
	it := m.items[key]
	if it == nil || !m.now().Before(it.entry.Expires) {
		return nil
	}
	return it
}

// sweep runs on every write, so the cost of removing an entry is paid by the one that adds another.
func (m *Memory) sweep() {
	now := m.now()
	for len(m.queue) > 0 && !now.Before(m.queue[0].entry.Expires) {
		m.remove(m.queue[0])
	}
}

func (m *Memory) remove(it *item) {
	heap.Remove(&m.queue, it.at)
	delete(m.items, it.key)
	m.bytes -= it.weighed
}

type expiryQueue []*item

func (q expiryQueue) Len() int           { return len(q) }
func (q expiryQueue) Less(i, j int) bool { return q[i].entry.Expires.Before(q[j].entry.Expires) }
func (q expiryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push implements heap.Interface.
func (q *expiryQueue) Push(x any) {
	it := x.(*item)
	it.at = len(*q)
	*q = append(*q, it)
}

// Pop implements heap.Interface.
func (q *expiryQueue) Pop() any {
	old := *q
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return it
}
