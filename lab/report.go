package lab

import (
	"fmt"
	"time"
)

// Report is what a run shows.
type Report struct {
	Replicas int     `json:"replicas"`
	Sessions int     `json:"sessions"`
	Tabs     int     `json:"tabs"` // of each session
	Seconds  float64 `json:"seconds"`
	Killed   bool    `json:"killed"`

	Requests     int `json:"requests"`
	OK           int `json:"ok"`           // 200
	Unauthorized int `json:"unauthorized"` // 401
	Unavailable  int `json:"unavailable"`  // 503
	PutOff       int `json:"putOff"`       // of those: told within TakeOver after a replica died
	CutOff       int `json:"cutOff"`       // died with the replica that was killed
	Failed       int `json:"failed"`       // any other answer, or none
	Unanswered   int `json:"unanswered"`   // sessions of which nobody could say at the end whether they live
	Strays       int `json:"strays"`       // tokens that were another session's, or no tokens, or over

	Refreshes int `json:"refreshes"` // asked at the provider
	Expected  int `json:"expected"`  // generations: each is asked for once
	Twice     int `json:"twice"`     // asked for a generation once more, and not in the place of one that came to nothing
	Again     int `json:"again"`     // asked in the place of one whose answer was lost, or never given
	Lost      int `json:"lost"`      // answers that the provider gave and nobody may have heard
	Undecided int `json:"undecided"` // asked, and not decided by the provider: it failed, or whoever asked was gone first
	Died      int `json:"died"`      // of the lost and the undecided: with the replica that was killed

	SignedOut int `json:"signedOut"` // sessions that were told 401
	Excused   int `json:"excused"`   // of those: their answer died with the replica, and the provider forgives nothing
	StillOut  int `json:"stillOut"`  // of those: 401 at the last look too

	Waited      Times `json:"waited"` // answers that waited for a refresh
	Prompt      Times `json:"prompt"` // all others
	CookieBytes int   `json:"cookieBytes"`

	// CacheFaults are calls that the replicas' cache did not answer: for whoever runs the laboratory to fill in, who alone can know.
	CacheFaults int `json:"-"`
}

func (l *laboratory) report() Report {
	l.tally.mu.Lock()
	defer l.tally.mu.Unlock()
	n := l.tally.counts
	r := Report{
		Replicas: len(l.Replicas), Sessions: l.Sessions, Tabs: l.Tabs, Killed: l.killed.Load(),
		Seconds:  time.Since(l.begun).Truncate(100 * time.Millisecond).Seconds(),
		Requests: n.requests, OK: n.ok, Unauthorized: n.unauthorized, Unavailable: n.unavailable,
		CutOff: n.cut, Failed: n.failed, Unanswered: n.unanswered, Strays: n.strays,
		Waited: timesOf(l.tally.waited), Prompt: timesOf(l.tally.prompt),
	}
	weighed := 0
	for _, b := range l.browsers {
		s := l.Witness.seen(b.authorized)
		r.Refreshes += s.asked
		r.Expected += s.generations
		r.Twice += s.twice
		r.Again += s.again
		r.Lost += s.lost
		r.Undecided += s.undecided
		r.Died += s.died
		r.PutOff += b.putOff
		if b.told401 {
			r.SignedOut++
			if l.Excused && s.orphans > 0 {
				r.Excused++
			}
		} else {
			r.CookieBytes += b.cookieBytes()
			weighed++
		}
		if b.endedOut {
			r.StillOut++
		}
	}
	r.CookieBytes /= max(1, weighed)
	return r
}

// Faults says in a sentence each what must not have happened; none means that all is well. What died with the replica that was killed
// excuses as much and no more: a sign-out, a refresh in its place, 503 until then.
func (r Report) Faults() []string {
	var out []string
	add := func(n int, format string) {
		if n > 0 {
			out = append(out, fmt.Sprintf(format, n))
		}
	}
	died, excused := 0, 0
	if r.Killed {
		died, excused = r.Died, r.Excused
	}
	add(r.SignedOut-excused, "%d sessions were signed out")
	add(r.Twice, "%d refreshes were asked for a second time within their generation")
	add(r.Again-died, "%d refreshes were asked for again, though none had died with a replica in their place")
	add(r.Lost+r.Undecided-died, "%d refreshes came to nothing, though no replica had died with them")
	add(r.Strays, "%d answers carried a token that was not the session's own, or was over")
	add(r.Failed, "%d requests were answered with something else than 200, 401 or 503, or not at all")
	add(r.Unanswered, "of %d sessions nobody could say at the end whether they live")
	if n := r.Unavailable - r.laterAllowed(); n > 0 {
		out = append(out, fmt.Sprintf("%d of %d requests were told 503, %d more than can be", r.Unavailable, r.Requests, n))
	}
	switch {
	case r.Refreshes == 0:
		out = append(out, "nothing was refreshed: the run shows nothing")
	case r.Refreshes < r.Expected || r.Refreshes > r.Expected+died:
		out = append(out, fmt.Sprintf("the provider was asked for %d refreshes, and %d were to be expected", r.Refreshes, r.Expected))
	}
	return out
}

// laterAllowed is how many answers may be 503: one in a hundred, on a busy machine; what is told after a death until others have taken over;
// and for each call that the cache left unanswered, all tabs of the session that it was made for.
func (r Report) laterAllowed() int {
	allowed := r.Requests/100 + r.CacheFaults*r.Tabs
	if r.Killed {
		// Which leases died is not to be seen from here: those of refreshes that had not reached the witness did too. A tab waits some 15 s
		// for an answer of 503, and so gets two of them at most.
		allowed += min(r.PutOff, 2*r.Tabs*r.Sessions)
	}
	return allowed
}
