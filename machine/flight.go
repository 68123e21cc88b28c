package machine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"
)

// result is what a flight brought home: a token; or the provider's own words, or an error, and then perhaps the old token, which lives.
type result struct {
	token *token
	how   How
	kept  bool   // the token, here or in the store
	said  *reply // what the provider said when it gave this token, if it was this flight that asked
	reply *reply
	err   error
	given bool // all of it by another replica, which asked
}

// failed says that the provider gave no newer token.
func (r result) failed() bool { return r.reply != nil || r.err != nil }

// refused says that the provider gave a definite no.
func (r result) refused() bool { return r.reply != nil && r.reply.verdict == refused }

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
	mine := false
	release := c.underWay()
	flight := c.flights.DoChan(string(w.find[:]), func() (any, error) { mine = true; return c.fly(ctx, w), nil })
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r := <-flight:
		release()
		return c.land(dst, r.Val.(result), !mine)
	case <-timer.C:
	case <-ctx.Done():
	}
	go func() { <-flight; release() }()
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
	if have != nil && have.expires.After(w.seen) && have.left(c.c.Now()) >= c.memory.margin(have) {
		return result{token: have, how: HowHit} // another flight has landed since the caller looked
	}
	f := &flight{Cache: c, w: w, have: have}
	r = f.coordinate(ctx, c.c.Store)
	return f.settleMemory(ctx, r)
}

// flight is one flight's state.
type flight struct {
	*Cache
	w    *want
	have *token // the newest living token known; nil: none
}

// settleMemory remembers what the flight brought, and adds the old token to a failure if it still serves.
func (f *flight) settleMemory(ctx context.Context, r result) result {
	now := f.c.Now()
	if !r.failed() {
		r.kept = f.memory.put(f.w.find, f.w.open, r.token) || r.kept
		f.lanes.prove(f.w.who)
		return r
	}
	if r.refused() {
		f.memory.drop(f.w.find)
		if r.reply.refusesClient() && len(r.reply.body) <= maxNegativeBytes {
			f.negatives.Add(f.w.who, negative{now.Add(f.t.Negative), r.reply})
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
	if !ok || h.token.expires.Before(f.have.expires) { // it came from the store
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

// reason is a failure in words without anything secret.
func (f *flight) reason(r result) string {
	if r.err != nil {
		return r.err.Error()
	}
	return fmt.Sprintf("the provider answered %d %s", r.reply.status, r.reply.code)
}

// maxAttempts bounds how often the provider is asked for one token. Asking again after a lost answer costs a token and does no harm.
const maxAttempts = 3

// obtain asks the provider, with pauses that grow between attempts while nothing comes of it.
func (f *flight) obtain(ctx context.Context) result {
	renewed := false
	var last reply
	var lastErr error
	for attempt := 0; ; attempt++ {
		var r reply
		as, err := f.account(ctx)
		if err == nil {
			r, err = f.send(ctx, as)
		}
		var failure *Failure
		switch {
		case errors.As(err, &failure) && (attempt == 0 || renewed):
			return result{err: err} // it was not asked at all, or refused us, which is no answer to the caller
		case failure != nil:
			return f.judged(ctx, last, lastErr)
		}
		last, lastErr = r, err
		if f.w.named != nil && err == nil && r.refusesClient() {
			if !renewed && f.w.named.rejected(ctx, as.secret) {
				renewed = true
				continue
			}
			f.ended(as, refused, 0, nil)
			return result{err: f.disown(ctx, as, &r)}
		}
		wait := r.wait(f.c.Now())
		again := r.verdict.failed() && attempt+1 < maxAttempts && wait <= time.Second
		if again && pause(ctx, max(wait, fullJitter(firstPause, attempt, 2*time.Second))) {
			continue
		}
		f.ended(as, r.verdict, wait, err)
		return f.judged(ctx, r, err)
	}
}

// judged makes a result of the last answer. A token with less than a second left is not for keeping: it goes out as it came.
func (f *flight) judged(ctx context.Context, r reply, err error) result {
	switch {
	case err != nil:
		f.c.Logger.WarnContext(ctx, "the provider gave no machine token", "error", err)
		return result{err: &Failure{Kind: ErrUnavailable, Cause: err}}
	case r.verdict == granted:
		t, err := cut(r)
		if err != nil {
			return result{err: &Failure{Kind: ErrUnavailable, Cause: err}}
		}
		if t.left(f.c.Now()) < time.Second {
			return result{reply: &r}
		}
		return result{token: t, how: HowMiss, said: &r}
	case r.verdict != refused && !r.issues():
		f.c.Logger.WarnContext(ctx, "the provider gave no machine token", "status", r.status, "code", r.code)
	}
	return result{reply: &r}
}

// send sends the request once, in its turn.
func (f *flight) send(ctx context.Context, as account) (reply, error) {
	leave, err := f.lanes.enter(ctx, f.w.who, as.key)
	if err != nil {
		return reply{}, f.limited(err)
	}
	defer leave()
	if err := f.disowned(as); err != nil { // while this request waited
		return reply{}, err
	}
	return f.post(ctx, f.outbound(as.secret))
}

func (c *Cache) limited(err error) error {
	what := "turn"
	switch {
	case errors.Is(err, errPaused):
		what = "pause"
	case errors.Is(err, errOpen):
		what = "breaker"
	}
	c.c.Observe(Event{Kind: EventLimited, Outcome: what})
	return err
}

// outbound writes the request to the provider: the caller's own authentication as it came, or ours for a named client, whose own key
// stays here.
func (f *flight) outbound(secret []byte) outbound {
	form, q := f.w.form(), f.w.ask
	if q.named != nil {
		return q.named.Upstream.outbound(form, secret)
	}
	switch {
	case q.credential.kind == 'p':
		form.Set("client_id", q.credential.id)
		form.Set("client_secret", q.credential.secret)
	case q.namesSelf:
		form.Set("client_id", unescaped(q.credential.id))
	}
	return outbound{body: form.Encode(), authorization: q.request.Authorization}
}

// outbound adds the authentication of a registered client.
func (c Credentials) outbound(form url.Values, secret []byte) outbound {
	if c.Post {
		form.Set("client_id", c.ID)
		form.Set("client_secret", string(secret))
		return outbound{body: form.Encode()}
	}
	r := http.Request{Header: http.Header{}}
	// RFC 6749, section 2.3.1: both are form-encoded first.
	r.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(string(secret)))
	return outbound{body: form.Encode(), authorization: r.Header.Get("Authorization")}
}

// pause waits, or says that there is no time left to.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
