package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// state says how a look into memory ended.
type state int

const (
	notServed state = iota // nothing living, or too little life left while a newer one can be had
	served
	servedDue // served, and whoever sees this renews it: nobody else will for a moment
)

// look is what to look for in memory.
type look struct {
	find, open half
	last       bool      // take what lives, there is nothing else
	since      time.Time // a token that was asked for before does not do, unless a newer one was asked for in vain a moment ago
	as         *opened   // keep it opened under this name if it is fresh; nil: do not
}

// serve answers from memory. Near its end a token is served only while a failed renewal is fresh, the next one then running behind it,
// or if it is all there is (last); the answer that is not served tells when that one was asked for.
func (c *Cache) serve(dst []byte, l look) (Answer, state) {
	buf, plain := scratch.Get().(*[]byte), scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	defer scratch.Put(plain)
	now := c.c.Now()
	h, ok := c.memory.find(*buf, l.find, l.open, now)
	if !ok {
		return Answer{}, notServed
	}
	*buf = h.sealed
	left, margin, due := h.token.left(now), c.memory.margin(&h.token), !now.Before(h.next)
	failing := h.failed && now.Before(h.next.Add(c.t.Breather)) // a moment ago: whoever waited for the next would wait in vain
	old := h.token.asked.Before(l.since)
	if left < margin && due && !failing && !l.last || old && (due || !h.failed) {
		return Answer{asked: h.token.asked, Forced: left >= margin}, notServed
	}
	packed, ok := h.reveal((*plain)[:0])
	if !ok {
		return Answer{}, notServed
	}
	*plain = packed
	how := HowHit
	if left < margin || old {
		how = HowStale
	}
	h.token.packed = packed
	a, ok := h.token.answer(dst, now, how)
	if !ok {
		return Answer{}, notServed
	}
	if fresh := c.memory.fresh(&h.token); l.as != nil && now.Before(fresh) {
		l.as.token, l.as.until = h.token, fresh
		l.as.token.packed = bytes.Clone(packed)
		c.hot.put(l.as)
	}
	switch next := now.Add(c.t.Breather); {
	case !due, left < margin && !failing:
		return a, served
	case left < margin:
		c.memory.postpone(h, next)
	default:
		c.memory.postpone(h, earlier(next, h.token.expires.Add(-margin)))
	}
	return a, servedDue
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// answer makes the answer of a token; false: what was kept is damaged.
func (t *token) answer(dst []byte, now time.Time, how How) (Answer, bool) {
	left := t.left(now)
	contentType, body, ok := unpack(dst, t.packed, left)
	return Answer{
		Status: http.StatusOK, ContentType: contentType, Body: body,
		How: how, TTL: left, Age: max(0, now.Sub(t.asked)), saved: t.cost, asked: t.asked,
	}, ok
}

// understood answers a request that was read: from memory in another spelling, from the store, or from the provider. A credential that
// was refused a moment ago gets what lives in memory, as it would in the spelling that is known, and otherwise the refusal.
func (c *Cache) understood(ctx context.Context, dst []byte, w *want) (Answer, error) {
	n, negative := c.negatives.Get(w.literally)
	negative = negative && c.c.Now().Before(n.until)
	a, state := c.serve(dst, look{find: w.find, open: w.open, last: negative, since: w.since})
	if state == notServed && negative {
		a = n.reply.answer(HowNegative)
		a.Origin = 0
		return a, nil
	}
	if state == servedDue {
		r := w.request
		r.Body = bytes.Clone(r.Body)
		c.renewLater(r, a.asked)
	}
	var err error
	if state == notServed {
		w.forced, w.seen, w.request.Body = a.Forced, a.asked, nil // the body is the caller's again when this returns, and the flight may outlast it
		a, err = c.await(ctx, dst, w)
	}
	if err == nil && (a.TTL > 0 || a.issued) && w.named != nil {
		a.Client, a.Scope = w.named.ID, w.scope()
	}
	return a, err
}

// landed is the answer of a reply that a flight brought, for who started it or joined. A token that cannot be kept is a token all the
// same, for the audit and for the count.
func (r *reply) landed(joined bool) Answer {
	a := r.answer(HowError)
	if a.issued = r.issues(); a.issued {
		a.How = HowMiss
	}
	if joined {
		a.Origin, a.Collapsed = 0, true
		if a.issued {
			a.How = HowCollapsed
		}
	}
	return a
}

// issues says whether a token is in a reply, kept or not: expires_in is only recommended (RFC 6749, section 5.1). It errs on the side of
// yes: some endpoints answer with a form in the place of JSON, and of what went out the audit must not know too little.
func (r *reply) issues() bool {
	if r.status/100 != 2 {
		return false
	}
	if !json.Valid(r.body) {
		return bytes.Contains(r.body, []byte("access_token"))
	}
	var p struct {
		Token json.RawMessage `json:"access_token"`
	}
	_ = json.Unmarshal(r.body, &p) // a list, or a text: no token
	return len(p.Token) > 0 && string(p.Token) != `""` && string(p.Token) != "null"
}

// passOn sends a request on as it came. Nothing of it is kept. It takes its turn as a stranger's, since what it brings is the provider's
// to judge, and keeps a pause that the provider asked its client for.
func (c *Cache) passOn(ctx context.Context, q *ask) (Answer, error) {
	who := c.passer(q)
	leave, err := c.lanes.enter(ctx, who)
	if err != nil {
		return Answer{}, c.limited(err)
	}
	defer leave()
	r, err := c.post(ctx, outbound{
		query: q.request.Query, body: string(q.request.Body), authorization: q.request.Authorization, dpop: q.request.DPoP,
	})
	if ctx.Err() == nil { // a caller who hung up says nothing about the provider
		c.lanes.passed(who, &r, err)
	}
	if err != nil {
		return Answer{}, &Failure{Kind: ErrUnavailable, Cause: err}
	}
	return r.answer(HowPass), nil
}

// breather is how long a living token is served after a failed renewal before the next.
func (c *Cache) breather(asked time.Duration) time.Duration {
	return max(min(asked, longestAsked), c.t.Breather/2+fullJitter(c.t.Breather/2, 0, c.t.Breather))
}
