package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"vestibule/kv"
)

// gaveUpTTL is how long waiters have to learn that they wait in vain.
const gaveUpTTL = 2 * time.Second

// ending is what a lease that brought no token leaves in the store, before it is sealed.
type ending struct {
	Reply *storedReply // what waiters pass on; nil: the provider did not answer
	Until time.Time    // until when the provider wants to be left alone, by the clock of who asked; zero: it did not say
}

type storedReply struct {
	Status      int
	ContentType string
	RetryAfter  string
	Challenges  []string
	Body        []byte
}

// endingOf makes a record's text of a result, and says how long it is of use.
func endingOf(r *reply, now time.Time) (plain []byte, ttl time.Duration, err error) {
	var e ending
	ttl = gaveUpTTL
	if r != nil {
		e.Reply = &storedReply{r.status, r.contentType, r.retryAfter, r.wwwAuth, r.body}
		if wait := r.wait(now); r.verdict.failed() && wait > 0 {
			e.Until, ttl = now.Add(wait), max(ttl, min(wait, longestAsked))
		}
	}
	plain, err = json.Marshal(e)
	return plain, ttl, err
}

func readEnding(plain []byte) (r *reply, until time.Time, err error) {
	var e ending
	if err := json.Unmarshal(plain, &e); err != nil {
		return nil, time.Time{}, fmt.Errorf("read a stored answer: %w", err)
	}
	s := e.Reply
	if s == nil {
		return nil, e.Until, nil
	}
	if !speaks(s.Status) {
		return nil, time.Time{}, errors.New("a stored answer has no status to pass on")
	}
	r = &reply{status: s.Status, contentType: s.ContentType, retryAfter: s.RetryAfter, wwwAuth: s.Challenges, body: s.Body}
	r.verdict, r.code = judge(*r)
	return r, e.Until, nil
}

// gaveUp reads the record of a failure: for who has waited for the lease that it ended, and while the provider wants to be left alone for
// who comes later, too.
func (f *flight) gaveUp(p *place, e kv.Entry, awaited kv.Version) (result, bool) {
	if !record(e.Value).is(recordGaveUp) {
		return result{}, false
	}
	waited := awaited != kv.Absent && e.Version > awaited
	plain, err := p.open(sealedError, e.Value[1:])
	if err != nil {
		return result{}, false
	}
	r, until, err := readEnding(plain)
	switch {
	case err == nil && r != nil && r.verdict.failed() && until.After(f.c.Now()):
		return result{err: f.heed(r.verdict, until)}, true
	case !waited:
		return result{}, false
	case err != nil || r == nil:
		return result{err: &Failure{Kind: ErrUnavailable, Cause: errors.New("another replica asked in vain")}}, true
	}
	return result{reply: r, given: true}, true
}

// heed begins here the pause that the provider asked another replica for, and turns the caller away as that one does.
func (f *flight) heed(v verdict, until time.Time) error {
	left := min(until.Sub(f.c.Now()), mostWait)
	pauses := []half{f.w.who}
	if f.w.named != nil {
		pauses = append(pauses, f.ours().key)
	}
	for _, who := range pauses {
		if f.lanes.paused(who) == nil {
			f.lanes.heard(who, v, left)
		}
	}
	return f.limited(&Failure{Kind: v.kind(), RetryAfter: left, Cause: errPaused})
}
