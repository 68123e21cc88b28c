package idp

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// callTimeout bounds an operation with all its attempts and pauses.
	callTimeout = 10 * time.Second
	maxAttempts = 3

	retryBase  = 200 * time.Millisecond
	retryLimit = 2 * time.Second
	// retryReserve is the time that must be left after a pause for another attempt to make sense.
	retryReserve = 500 * time.Millisecond
)

// post is one operation at the token or revocation endpoint.
type post struct {
	operation string
	endpoint  string
	form      url.Values
	// idempotent: doing it twice does no harm, so it may be repeated after it was lost.
	idempotent bool
}

// call sends a form until there is a final answer: three attempts at most, and no second one for a request that
// may have been processed. An answer of success is not observed yet: it has still to prove itself.
func (p *Provider) call(ctx context.Context, r post) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var refusal *Error // of our client
	var refused fingerprint
	for attempt := 1; ; attempt++ {
		a, used, v, fail := p.attempt(ctx, r)
		if fail == nil {
			return a, nil
		}
		p.observe(r.operation, fail, a.took)
		if refusal != nil && used == refused && fail.Kind == ErrRefused {
			// A provider that spends a grant before it looks at the client calls the grant spent now. That would end a
			// session for a fault of the operator's.
			return answer{}, refusal
		}
		if rejectsSecret(fail) && refusal == nil {
			refusal, refused = fail, used
			// Said before anything is tried again: whatever comes of that would hide it.
			p.cfg.Logger.ErrorContext(ctx, "the provider refuses our client", "operation", r.operation, "status", fail.Status, "code", fail.Code)
			if p.creds.renewed(ctx, used) {
				continue
			}
		}
		if attempt >= maxAttempts || !v.repeat && !(r.idempotent && v.lost) || !pauseBefore(ctx, attempt, fail.RetryAfter) {
			return answer{}, fail
		}
	}
}

// attempt sends the form once and judges what comes back.
func (p *Provider) attempt(ctx context.Context, r post) (answer, fingerprint, verdict, *Error) {
	req, used, err := p.creds.request(ctx, r.endpoint, r.form)
	if err != nil {
		return answer{}, used, verdict{}, &Error{Kind: ErrMisconfigured, Operation: r.operation, detail: err.Error()}
	}
	a, fail := p.send(req, r.operation)
	if fail != nil {
		return a, used, verdict{repeat: !fail.Lost, lost: fail.Lost}, fail
	}
	v := classify(a)
	if v.kind == nil {
		return a, used, v, nil
	}
	return a, used, v, &Error{Kind: v.kind, Operation: r.operation, Status: a.status, Code: v.code,
		RetryAfter: retryAfter(a.header.Get("Retry-After"), p.cfg.Now()), Lost: v.lost}
}

// pauseBefore waits for the next attempt, or refuses to when the pause does not fit the time that is left.
func pauseBefore(ctx context.Context, attempt int, asked time.Duration) bool {
	pause := max(asked, backoff(retryBase, attempt-1, retryLimit))
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause+retryReserve {
		return false
	}
	return sleep(ctx, pause)
}

// retryAfter reads a Retry-After header: seconds or an HTTP date (RFC 9110 section 10.2.3), at most an hour. What
// cannot be read, or lies in the past, is 0.
func retryAfter(value string, now time.Time) time.Duration {
	const limit = time.Hour
	value = strings.TrimSpace(value)
	if value == "" || len(value) > 64 {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(limit/time.Second) {
			return limit
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), limit)
}
