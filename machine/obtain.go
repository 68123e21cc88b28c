package machine

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

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
			return result{err: err, unasked: heldBack(err)} // it was not asked at all, or refused us, which is no answer to the caller
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
	r, err := f.post(ctx, f.outbound(as.secret))
	if err == nil && r.status/100 == 2 {
		f.dropRefreshToken(ctx, &r)
	}
	return r, err
}

// dropRefreshToken leaves out what should not be in an answer to this grant (RFC 6749, section 4.4.3). All callers are given one answer,
// and whoever used such a token first would take it from the others.
func (f *flight) dropRefreshToken(ctx context.Context, r *reply) {
	body, found := without(r.body, "refresh_token")
	if !found {
		return
	}
	r.body = body
	f.tellRefresh.Do(func() {
		f.c.Logger.WarnContext(ctx, "the provider sends a refresh token with machine tokens, which it should not (RFC 6749, section 4.4.3): it is left out, also from now on")
	})
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
