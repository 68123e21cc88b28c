package lab

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// chain is one session at the provider.
type chain struct {
	links []*link
	last  int // replica that asked last; -1: none yet
}

// link is one generation: one refresh token, or without rotation the time until the next answer.
type link struct {
	chain *chain
	asks  []*ask
}

// ask is one refresh that a replica asked for.
type ask struct {
	link     *link // nil: of no session that is known, or no refresh
	replica  int
	cancel   context.CancelFunc
	decided  bool
	answered time.Time // zero: not yet
	heard    bool      // a tab holds what was answered
	lost     bool      // the provider did not decide, or whoever asked may not have heard it
	died     bool      // of those: because whoever asked was killed
}

// justNow: whoever was killed so soon after an answer may have kept nothing of it.
const justNow = time.Second

func isRefresh(form url.Values) bool { return form.Get("grant_type") == "refresh_token" }

func linkOf(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// arrived writes a refresh down before anything else happens to it; nil: the replica is dead.
func (w *Witness) arrived(replica int, form url.Values, cancel context.CancelFunc) *ask {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead[replica] {
		return nil
	}
	a := &ask{replica: replica, cancel: cancel}
	if l := w.links[linkOf(form.Get("refresh_token"))]; l != nil && isRefresh(form) {
		a.link = l
		l.asks = append(l.asks, a)
		l.chain.last = replica
	}
	return a
}

// decided follows the chain: the answer's refresh token is its next link, or without rotation the same token is.
func (w *Witness) decided(form url.Values, answer reply, a *ask) {
	var said struct {
		Refresh string `json:"refresh_token"`
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if answer.status == http.StatusTooManyRequests || answer.status >= http.StatusInternalServerError {
		a.lost = true // the provider has not decided: asking again is right
		return
	}
	if answer.status != http.StatusOK || json.Unmarshal(answer.body, &said) != nil {
		return
	}
	a.decided = true
	if code := form.Get("code"); code != "" {
		c := &chain{last: -1}
		w.chains[code] = c
		w.add(c, said.Refresh)
		return
	}
	if a.link == nil {
		return
	}
	switch links := a.link.chain.links; {
	case said.Refresh != "":
		w.add(a.link.chain, said.Refresh)
	case links[len(links)-1] == a.link: // of several at once the first answer ends the generation
		w.add(a.link.chain, form.Get("refresh_token"))
	}
}

// add puts a link at the end of the chain; the lock is held.
func (w *Witness) add(c *chain, token string) {
	l := &link{chain: c}
	c.links = append(c.links, l)
	w.links[linkOf(token)] = l
}

// errLost means that whoever asked is gone.
var errLost = errors.New("lab: whoever asked is gone")

func (w *Witness) giveUp(ctx context.Context, a *ask) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.lost = true
	a.died = a.died || w.dying[a.replica]
	return errors.Join(errLost, ctx.Err())
}

// answered is called just before the answer is written: a tab may hold it before anybody here could say afterwards that it was.
func (w *Witness) answered(a *ask) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.answered = time.Now()
}

// condemn says that the replica is about to be killed: what it gives up from now on dies with it.
func (w *Witness) condemn(replica int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dying[replica] = true
}

// cut ends what the replica asks, and takes nothing from it any more.
func (w *Witness) cut(replica int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead[replica] = true
	for _, c := range w.chains {
		for _, l := range c.links {
			for _, a := range l.asks {
				if a.replica == replica && !a.heard && !a.lost && (a.answered.IsZero() || time.Since(a.answered) < justNow) {
					a.lost, a.died = true, true
					a.cancel()
				}
			}
		}
	}
}

// heard: a tab holds a new token of the session, so what was answered so far is not lost, whoever dies. It gives the replica that
// asked last; -1: none did.
func (w *Witness) heard(code string) (last int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.chains[code]
	if c == nil {
		return -1
	}
	for _, l := range c.links {
		for _, a := range l.asks {
			a.heard = a.heard || !a.answered.IsZero()
		}
	}
	return c.last
}

// sight is what was seen of one session.
type sight struct {
	asked       int // refreshes that reached the witness
	generations int // refresh tokens, or generations of the one, that were asked for
	twice       int // asks beyond the first of a generation, and beyond one for each that was lost
	again       int // asks in the place of one that was lost
	lost        int // answers that the provider gave and nobody may have heard
	undecided   int // asks that the provider did not decide
	died        int // of the last two: with the replica that was killed
	orphans     int // of those: answers that the provider gave
	under       int // refreshes under way, and those that died and were not taken over yet
}

// seen is what was seen of the session that began with the code.
func (w *Witness) seen(code string) sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.chains[code]
	if c == nil {
		return sight{}
	}
	s := sight{}
	for _, l := range c.links {
		lost, n := 0, len(l.asks)
		if n > 0 && (l.asks[n-1].answered.IsZero() || l.asks[n-1].lost) {
			s.under++
		}
		for _, a := range l.asks {
			if a.lost {
				lost++
				s.count(a)
			}
		}
		first := min(n, 1)
		again := min(n-first, lost)
		s.asked += n
		s.generations += first
		s.again += again
		s.twice += n - first - again
	}
	return s
}

// count adds an ask that was lost.
func (s *sight) count(a *ask) {
	if a.decided {
		s.lost++
	} else {
		s.undecided++
	}
	if a.died {
		s.died++
		if a.decided {
			s.orphans++
		}
	}
}
