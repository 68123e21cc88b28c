package machine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"
)

// result is what a flight brought home: a token; or the provider's own words, or an error, and then perhaps the old token, which lives.
type result struct {
	token   *token
	how     How
	kept    bool   // the token, here or in the store
	said    *reply // what the provider said when it gave this token, if it was this flight that asked
	reply   *reply
	err     error
	given   bool // all of it by another replica, which asked
	unasked bool // the provider was not even asked: it is not the turn of this process
	forced  bool // there was a token, too old for who wanted a fresh one
}

// failed says that the provider gave no newer token.
func (r result) failed() bool { return r.reply != nil || r.err != nil }

// refused says that the provider gave a definite no.
func (r result) refused() bool { return r.reply != nil && r.reply.verdict == refused }

// outdated says that a flight found a token which was asked for too early: it was begun by somebody else, for whom that one did.
func (r result) outdated(since time.Time) bool {
	return r.token != nil && !r.failed() && r.token.asked.Before(since)
}

// await joins the one flight of this token, or starts it, and waits as long as the caller may. The flight has a context of its own:
// a caller that hangs up does not stop what others wait for.
func (c *Cache) await(ctx context.Context, dst []byte, w *want) (answer Answer, err error) {
	began := c.c.Now()
	defer func() { answer.saved = max(0, answer.saved-c.c.Now().Sub(began)) }()
	patience, spare := c.patience(w)
	if patience <= 0 {
		if a, ok := c.spend(dst, spare); ok {
			return a, nil
		}
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for waiting := true; waiting; {
		mine := false
		release := c.underWay()
		flight := c.flights.DoChan(string(w.find[:]), func() (any, error) { mine = true; return c.fly(ctx, w), nil })
		select {
		case landed := <-flight:
			release()
			r := landed.Val.(result)
			if !mine && r.outdated(w.since) {
				continue
			}
			a, err := c.land(dst, r, !mine)
			a.Forced = w.forced || r.forced && !w.since.IsZero()
			return a, err
		case <-timer.C:
		case <-ctx.Done():
		}
		waiting = false
		go func() { <-flight; release() }()
	}
	if a, ok := c.spend(dst, spare); ok {
		return a, nil
	}
	return Answer{}, &Failure{Kind: ErrUnavailable, Cause: errors.New("a token takes too long")}
}

// patience is how long a caller waits for a flight, and the living token that it gets afterwards. Who has one waits no longer than
// WaitLiving after the flight began, whoever began it, and never into the last second of that token.
func (c *Cache) patience(w *want) (wait time.Duration, spare *token) {
	spare, ok := c.peek(w)
	if !ok {
		return c.t.WaitDead, nil
	}
	now := c.c.Now()
	wait = c.t.WaitLiving
	if began, ok := c.since.Load(w.find); ok {
		wait -= now.Sub(began.(time.Time))
	}
	// A timer of no time at all would win over a provider that answers at once.
	return min(wait, max(spare.left(now)-time.Second, time.Millisecond)), spare
}

// spend answers with the living token of a caller whose patience is over. Its last second is told as one: the timer may have been late,
// and a token's life is counted from before it was issued.
func (c *Cache) spend(dst []byte, spare *token) (Answer, bool) {
	now := c.c.Now()
	if spare == nil || spare.left(now) <= 0 {
		return Answer{}, false
	}
	return spare.answer(dst, earlier(now, spare.expires.Add(-time.Second)), HowStale)
}

// underWay counts a flight for Drain; while that waits nothing new is counted.
func (c *Cache) underWay() (release func()) {
	if !c.running.TryAcquire(1) {
		return func() {}
	}
	return func() { c.running.Release(1) }
}

// land makes the answer of a result, for whoever started the flight and for those who joined it. Nobody but who asked is told the
// status that the provider gave: RFC 9211, section 2.3, has it for the request that was sent on.
func (c *Cache) land(dst []byte, r result, joined bool) (Answer, error) {
	joined = joined || r.given
	switch {
	case r.token != nil:
		how := r.how
		switch {
		case r.failed():
			how = HowStale
		case joined && how == HowMiss:
			how = HowCollapsed
		}
		a, ok := r.token.answer(dst, c.c.Now(), how)
		switch over := !ok || a.TTL < time.Second; {
		case over && r.said != nil:
			return r.said.landed(joined), nil
		case over && r.failed():
			return c.land(dst, result{reply: r.reply, err: r.err}, joined)
		case over:
			return Answer{}, &Failure{Kind: ErrUnavailable, Cause: errors.New("the provider's tokens are over when they come: is this machine's clock right?")}
		}
		switch {
		case joined:
			a.Collapsed = r.reply != nil || how == HowCollapsed
		case r.reply != nil:
			a.Origin = r.reply.status
		case how == HowMiss:
			a.Origin, a.Stored = http.StatusOK, r.kept
		}
		return a, nil
	case r.reply != nil:
		return r.reply.landed(joined), nil
	}
	return Answer{}, r.err
}

// renewLater renews in the background. The request is understood anew: a named client whose key was changed meanwhile renews nothing.
func (c *Cache) renewLater(r Request, seen time.Time) {
	release := c.underWay()
	go func() {
		defer release()
		q, err := read(r)
		if err != nil || c.admit(context.Background(), &q) != nil || q.pass {
			return
		}
		w := c.want(&q)
		w.seen = seen
		_, _, _ = c.flights.Do(string(w.find[:]), func() (any, error) { return c.fly(context.Background(), w), nil })
	}()
}

// caught makes a panic one log record with its stack, and calls then. It is to be deferred where nobody stands above the goroutine: what
// got past it would end the process.
func (c *Cache) caught(ctx context.Context, work string, then func()) {
	if p := recover(); p != nil {
		c.c.Logger.ErrorContext(ctx, "panic", "in", work, "error", fmt.Sprint(p), "stack", string(debug.Stack()))
		then()
	}
}

// peek gives the token in memory, opened, if it lives.
func (c *Cache) peek(w *want) (*token, bool) {
	h, ok := c.memory.find(nil, w.find, w.open, c.c.Now())
	if !ok {
		return nil, false
	}
	h.token.packed, ok = h.reveal(nil)
	return &h.token, ok
}

// fly is one flight. What it brings is in memory before anybody is told.
func (c *Cache) fly(ctx context.Context, w *want) (r result) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.t.Flight)
	defer cancel()
	c.since.Store(w.find, c.c.Now())
	defer c.since.Delete(w.find)
	have, _ := c.peek(w)
	defer c.caught(ctx, "a machine token", func() {
		r = result{err: &Failure{Kind: ErrUnavailable, Cause: errors.New("a panic")}, token: have}
	})
	if have != nil && have.asked.After(w.seen) && !have.asked.Before(w.since) && have.left(c.c.Now()) >= c.memory.margin(have) {
		return result{token: have, how: HowHit} // another flight has landed since the caller looked
	}
	f := &flight{Cache: c, w: w, had: have, have: have}
	f.forced = have != nil && have.asked.Before(w.since) && have.left(c.c.Now()) >= c.memory.margin(have)
	r = f.settleMemory(ctx, f.coordinate(ctx, c.c.Store))
	r.forced = f.forced
	return r
}

// flight is one flight's state.
type flight struct {
	*Cache
	w      *want
	had    *token // what memory held at first; nil: nothing that lives
	have   *token // the newest living token known; nil: none
	forced bool   // see result
}

// settleMemory remembers what the flight brought, and adds the old token to a failure if it still serves.
func (f *flight) settleMemory(ctx context.Context, r result) result {
	now := f.c.Now()
	if !r.failed() {
		kept := f.memory.put(f.w.find, f.w.open, r.token)
		if !kept {
			f.memory.drop(f.w.find) // or the old one would go on being served
		}
		f.overtaken(now)
		r.kept = kept || r.kept
		f.lanes.prove(f.w.who)
		return r
	}
	if r.refused() {
		f.memory.drop(f.w.find)
		f.overtaken(now)
		if r.reply.refusesClient() && len(r.reply.body) <= maxNegativeBytes {
			f.negatives.Add(f.w.literally, negative{now.Add(f.t.Negative), r.reply})
		}
		return r
	}
	wait := time.Duration(0)
	var failure *Failure
	if r.reply != nil {
		wait = r.reply.wait(now)
	} else if errors.As(r.err, &failure) {
		wait = failure.RetryAfter
	}
	if f.have == nil || f.have.left(now) < time.Second {
		return r
	}
	h, ok := f.memory.find(nil, f.w.find, f.w.open, now)
	if !ok || f.have.newer(&h.token) { // it came from the store
		f.memory.put(f.w.find, f.w.open, f.have)
		h, ok = f.memory.find(nil, f.w.find, f.w.open, now)
	}
	if ok {
		h.failed = true
		f.memory.postpone(h, now.Add(f.breather(wait)))
	}
	f.c.Logger.WarnContext(ctx, "a machine token could not be renewed; the old one serves to its end", "left", f.have.left(now).Truncate(time.Second).String(), "error", f.reason(r))
	r.token = f.have
	return r
}

// overtaken has what is kept opened forgotten if it may be this token before its time: one in need of renewal is not kept there.
func (f *flight) overtaken(now time.Time) {
	if !f.w.since.IsZero() || f.had != nil && now.Before(f.memory.fresh(f.had)) {
		f.hot.forget()
	}
}

// reason is a failure in words without anything secret.
func (f *flight) reason(r result) string {
	if r.err != nil {
		return r.err.Error()
	}
	return fmt.Sprintf("the provider answered %d %s", r.reply.status, r.reply.code)
}
