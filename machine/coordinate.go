package machine

import (
	"context"
	crand "crypto/rand"
	"errors"
	"math/rand/v2"
	"time"

	"vestibule/kv"
)

// record is what stands in the store about one request: one byte of state, then what the state needs, sealed.
type record []byte

const (
	recordLeased = 'L' // somebody asks the provider; the token of before follows, if there is one that lives
	recordToken  = 'T' // a token
	recordGaveUp = 'G' // what the provider said instead of a token; see ending
)

func (r record) is(state byte) bool { return len(r) > 0 && r[0] == state }

// coordinate gives a token that is newer than the one at hand: another replica's, or one that it asks for under a lease which excludes
// all other replicas.
//
//	unknown, old token, gave up → take the lease → provider → token
//	newer token, also in a lease → adopt it
//	leased                       → look again until it is something else
//	gave up after we waited      → that is our answer too
//	gave up and wants to be left → nobody asks
func (f *flight) coordinate(ctx context.Context, store kv.Store) result {
	if store == nil {
		return f.obtain(ctx)
	}
	places, err := f.keys.places(f.w.canon)
	if err != nil {
		return result{err: err}
	}
	awaited := kv.Absent // the lease that was waited for last
	for {
		e, err := store.Get(ctx, places[0].name)
		switch {
		case errors.Is(err, kv.ErrNotFound):
			if f.adoptFormer(ctx, store, places[1:]) {
				return result{token: f.have, how: HowShared}
			}
		case err != nil:
			return f.alone(ctx, err)
		}
		r := record(e.Value)
		if f.adopt(&places[0], r) {
			return result{token: f.have, how: HowShared}
		}
		if r.is(recordLeased) {
			awaited = e.Version
			if !pause(ctx, f.t.Poll/2+rand.N(f.t.Poll)) {
				return result{err: &Failure{Kind: ErrUnavailable, Cause: errors.New("another replica takes too long")}}
			}
			continue
		}
		if res, ok := f.gaveUp(&places[0], e, awaited); ok {
			return res
		}
		res, err := f.lead(ctx, store, places, e.Version)
		if errors.Is(err, kv.ErrConflict) {
			continue
		}
		if err != nil {
			return f.alone(ctx, err)
		}
		return res
	}
}

// adopt takes the token of a record, if there is one that is newer than what is at hand and good for more than its last moments. One
// that merely lives is at hand from then on.
func (f *flight) adopt(p *place, r record) bool {
	if len(r) < 2 || !r.is(recordToken) && !r.is(recordLeased) {
		return false
	}
	plain, err := p.open(sealedToken, r[1:])
	if err != nil {
		return false
	}
	t, err := unmarshal(plain)
	now := f.c.Now()
	if err != nil || t.left(now) < time.Second || !t.newer(f.have) {
		return false
	}
	f.have = t
	if t.left(now) < f.memory.margin(t) {
		return false
	}
	f.forced = t.asked.Before(f.w.since)
	return !f.forced
}

// adoptFormer looks where the token stood under older keys of the ring: a rotation costs no request.
func (f *flight) adoptFormer(ctx context.Context, store kv.Store, places []place) bool {
	for i := range places {
		if e, err := store.Get(ctx, places[i].name); err == nil && record(e.Value).is(recordToken) && f.adopt(&places[i], e.Value) {
			return true
		}
	}
	return false
}

// alone goes on without the store: this process still asks once, other replicas are not seen.
func (f *flight) alone(ctx context.Context, cause error) result {
	f.c.Observe(Event{Kind: EventDegraded})
	f.c.Logger.WarnContext(ctx, "the cache does not answer: this machine token is coordinated in this process alone", "error", cause)
	return f.obtain(ctx)
}

// lead asks the provider while the lease is held, and leaves what came of it where the lease stood, which is the first of the places.
// Its error is about the store.
func (f *flight) lead(ctx context.Context, store kv.Store, places []place, over kv.Version) (result, error) {
	as, err := f.account(ctx)
	if err == nil {
		if err = f.lanes.paused(as.key, f.w.who); err != nil {
			err = f.limited(err)
		}
	}
	if err != nil { // nothing will be asked, so others need not wait, and what stands there may tell them more
		return result{err: err}, nil
	}
	var old []byte
	p := &places[0]
	if f.have != nil {
		old, _ = p.close(sealedToken, f.have.marshal()) // without it others wait a moment longer
	}
	value := append(record{recordLeased}, old...)
	if old == nil {
		value = append(value, crand.Text()...) // no token, but no other lease's value either: a sealed token is never the same twice
	}
	lease, err := kv.Acquire(ctx, store, kv.LeaseRequest{Key: p.name, Value: value, TTL: f.t.Lease, Over: over})
	if err != nil {
		if !errors.Is(err, kv.ErrConflict) && !errors.Is(err, kv.ErrNotAsked) { // it may stand
			f.withdraw(ctx, func(ctx context.Context) error { return kv.Withdraw(ctx, store, p.name, value) })
		}
		return result{}, err
	}
	stop := lease.Keep(ctx, f.t.Renew, func(err error) {
		f.c.Logger.WarnContext(ctx, "the lease of a machine token could not be renewed", "error", err)
	})
	settled := false
	defer func() { // a panic at the provider must not leave the others waiting
		if !settled {
			stop()
			f.release(context.WithoutCancel(ctx), lease)
		}
	}()
	r := f.obtain(ctx)
	stop()
	settled = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	r.kept = f.settle(ctx, p, lease, r, old) && !r.failed()
	if r.refused() {
		f.forget(ctx, store, places[1:])
	}
	return r, nil
}

// forget removes what older keys of the ring left: a token whose renewal was refused must not be adopted again.
func (f *flight) forget(ctx context.Context, store kv.Store, places []place) {
	for i := range places {
		e, err := store.Get(ctx, places[i].name)
		if err == nil && record(e.Value).is(recordToken) {
			err = store.Delete(ctx, places[i].name, e.Version)
		}
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			f.c.Logger.WarnContext(ctx, "a machine token that was refused could not be removed from the cache", "error", err)
		}
	}
}

// settle leaves the token, the old one if there is no newer and it was not refused, or word of the failure, and says whether it could.
func (f *flight) settle(ctx context.Context, p *place, lease *kv.Lease, r result, old []byte) bool {
	now := f.c.Now()
	value, ttl, err := record{recordToken}, time.Duration(0), error(nil)
	var sealed []byte
	switch {
	case !r.failed():
		sealed, err = p.close(sealedToken, r.token.marshal())
		ttl = r.token.left(now)
	case old != nil && !r.refused() && f.have.left(now) >= time.Second:
		sealed, ttl = old, f.have.left(now)
	case r.unasked: // others may have their turn
		f.release(ctx, lease)
		return false
	default:
		var plain []byte
		value = record{recordGaveUp}
		if plain, ttl, err = endingOf(r.reply, now); err == nil {
			sealed, err = p.close(sealedError, plain)
		}
	}
	if err == nil {
		err = lease.Settle(ctx, append(value, sealed...), ttl)
	}
	if err != nil {
		f.c.Logger.DebugContext(ctx, "a machine token could not be left in the cache", "error", err)
		f.release(ctx, lease)
	}
	return err == nil
}

// release gives a lease up, if not now, then soon.
func (f *flight) release(ctx context.Context, lease *kv.Lease) {
	if lease.Release(ctx) != nil {
		f.withdraw(ctx, lease.Withdraw)
	}
}

// withdrawTime bounds one attempt to take a lease back.
const withdrawTime = time.Second

// withdraw tries in the background to take a lease back, for which all replicas would wait, until it is gone or has run out. A process
// that stops tries once more.
func (f *flight) withdraw(ctx context.Context, try func(context.Context) error) {
	landed := f.underWay()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.t.Lease)
	go func() {
		defer landed()
		defer cancel()
		defer f.caught(ctx, "the end of a lease", func() {})
		once := func() error {
			ctx, cancel := context.WithTimeout(ctx, withdrawTime)
			defer cancel()
			return try(ctx)
		}
		for attempt := 0; once() != nil; attempt++ {
			if !f.rest(ctx, fullJitter(firstPause, attempt, time.Second)) {
				_ = once() // or it runs out
				return
			}
		}
	}()
}

// rest waits; false: the lease has run out, or the process stops.
func (c *Cache) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.leaving:
	case <-ctx.Done():
	}
	return false
}
