package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync/atomic"

	"vestibule/kv"
)

// holder names the leases of this process in what stands in the store. One flight at a time works on a record here, so a flight that finds
// a lease of this process has found what a former one, or its own unanswered attempt, left behind: there is nobody to wait for.
type holder struct {
	process [16]byte
	claims  atomic.Uint64
}

func newHolder() *holder {
	h := &holder{}
	_, _ = rand.Read(h.process[:]) // it never fails
	return h
}

// next is the value of a lease that no other has.
func (h *holder) next() record {
	r := append(make(record, 0, 1+len(h.process)+8), byte(stateLeased))
	r = append(r, h.process[:]...)
	return binary.BigEndian.AppendUint64(r, h.claims.Add(1))
}

func (h *holder) owns(r record) bool {
	return r.is(stateLeased) && bytes.HasPrefix(r[1:], h.process[:])
}

// claim is one flight's wish for the lease of a record.
type claim struct {
	key   string
	store kv.Store
	value record
	doubt bool // the store was asked for the lease and gave no answer: it may stand
}

func (m *Manager) newClaim(s *Session, store kv.Store) *claim {
	return &claim{key: recordKey(s), store: store, value: m.holder.next()}
}

func (m *Manager) acquire(ctx context.Context, c *claim, over kv.Version) (*kv.Lease, error) {
	lease, err := kv.Acquire(ctx, c.store, kv.LeaseRequest{Key: c.key, Value: c.value, TTL: m.t.Lease, Over: over})
	switch {
	case err == nil:
		c.doubt = false
		if c.store != kv.Store(m.local) {
			m.unleased.over()
		}
	case !errors.Is(err, kv.ErrConflict) && !errors.Is(err, kv.ErrNotAsked):
		c.doubt = true
	}
	return lease, err
}

// renounce clears away what a flight that went on without the lease may have left behind, or all other replicas would wait for it. Where
// this process has refreshed alone, the lease may be all that keeps them from a refresh token that is spent: the result takes its place.
func (m *Manager) renounce(ctx context.Context, c *claim) {
	if !c.doubt {
		return
	}
	if e, err := m.local.Get(ctx, c.key); err == nil && record(e.Value).is(stateDone) {
		m.insistOn(ctx, c.store, kv.Write{Key: c.key, Value: e.Value, TTL: e.Expires.Sub(m.c.Now()), If: kv.Any})
		return
	}
	m.withdraw(ctx, c.key, func(ctx context.Context) error { return kv.Withdraw(ctx, c.store, c.key, c.value) })
}

// release gives a lease up, if not now, then soon.
func (m *Manager) release(ctx context.Context, s *Session, lease *kv.Lease) {
	if lease.Release(ctx) != nil {
		m.withdraw(ctx, recordKey(s), lease.Withdraw)
	}
}

// withdraw tries to take a lease back until it is gone or has run out.
func (m *Manager) withdraw(ctx context.Context, key string, write func(context.Context) error) {
	m.insist(ctx, "lease of "+key, untaken{what: "the end of a refresh lease", until: m.c.Now().Add(m.t.Lease), write: write})
}
