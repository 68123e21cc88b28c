package machine

import (
	"context"
	"maps"
	"sync"
	"time"
)

// account is what the provider is asked with for a named client; the zero one for everybody else, who brings credentials along. Named
// clients may share one, and what the provider says about it then holds for all of them.
type account struct {
	secret []byte
	key    half // what the provider's word about this id with this secret is remembered by
}

// account gives what to ask with now, or the refusal of a moment ago, which ends before its time once there is another secret.
func (f *flight) account(ctx context.Context) (account, error) {
	if f.w.named == nil {
		return account{}, nil
	}
	a := f.ours()
	err := f.disowned(a)
	if err != nil && f.w.named.rejected(ctx, a.secret) {
		a = f.ours()
		err = f.disowned(a)
	}
	return a, err
}

func (f *flight) ours() account {
	a := account{secret: f.w.named.Upstream.Secret()}
	a.key, _ = f.memory.keys.ofCanonical(credential{'o', f.w.named.Upstream.ID, string(a.secret)}.text())
	return a
}

// disowned turns away whose credentials of ours the provider refused a moment ago; nil: it may be asked.
func (f *flight) disowned(a account) error {
	if left := f.refusals.left(a.key, f.c.Now()); left > 0 {
		return &Failure{Kind: ErrUnavailable, RetryAfter: left, Cause: errOurs}
	}
	return nil
}

// disown is for a named client whose credentials at the provider were refused. Of all requests in a while one tells the log. What
// may come from something in between is not remembered, as it is not for callers with credentials of their own.
func (f *flight) disown(ctx context.Context, a account, r *reply) error {
	now := f.c.Now()
	first := r.verdict != refused || f.refusals.add(a.key, now, now.Add(f.t.Negative))
	if first {
		f.c.Logger.ErrorContext(ctx, "a named client gets no token", "client", f.w.named.ID, "upstream", f.w.named.Upstream.ID, "error", errOurs)
	}
	return &Failure{Kind: ErrUnavailable, RetryAfter: f.refusals.left(a.key, now), Cause: errOurs}
}

// refusals are the credentials of ours that the provider refused. There is no room to run out of: no caller chooses what is in it, and
// what is over goes when the next comes.
type refusals struct {
	mu    sync.Mutex
	until map[half]time.Time // account.key → when it is asked about again
}

// left is how long a refusal is still remembered.
func (r *refusals) left(key half, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, r.until[key].Sub(now))
}

// add remembers a refusal, and says whether it is the first of its time.
func (r *refusals) add(key half, now, until time.Time) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.until, func(_ half, until time.Time) bool { return !now.Before(until) })
	if _, known := r.until[key]; known {
		return false
	}
	if r.until == nil {
		r.until = map[half]time.Time{}
	}
	r.until[key] = until
	return true
}

// ended tells the lanes how a request went. A pause that the provider asked for is one of the account's, too, whoever asks with it next;
// a failure without a word is not: a request of one named client that makes the provider fail must not hold up the others.
func (f *flight) ended(a account, v verdict, wait time.Duration, err error) {
	f.lanes.ended(f.w.who, v, wait, err)
	if f.w.named != nil && (v != unavailable || wait > 0) {
		f.lanes.heard(a.key, v, wait)
	}
}
