// Package lab is the race laboratory: browsers with many tabs ask several replicas for tokens, while a witness before the provider
// writes down who spent which refresh token. It owns the browsers, the witness, the counting and the verdict. It refuses to start
// replicas or to know what they are made of: whoever runs it hands in addresses, and a way to kill.
//
//	sign in → tabs ask random replicas, cookies shared and late → replica → Witness → provider
//	                                 └→ tally ────────────────→ Report ←────────┘
//
// Read this file first, then browser.go for what a tab does, witness.go and chain.go for how a refresh is counted.
package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what Run does. Origin, Replicas, Witness, SignIn and Duration are required.
type Config struct {
	Origin   string   // public_url of the replicas, without a path
	Replicas []string // host:port of each; the witness knows them by their places in this list
	Witness  *Witness
	// SignIn is the person at the provider: it opens the authorization URL as the n-th session's person and gives the address
	// that the provider sends the browser back to.
	SignIn func(ctx context.Context, authorizeURL string, n int) (callbackURL string, err error)

	Sessions  int           // browsers; default 1
	Tabs      int           // tabs of each; default 1
	Duration  time.Duration // how long tabs ask, not counting the sign-ins
	Every     time.Duration // a tab asks about so often; default 1 s
	TokenLife time.Duration // of an access token: what min_ttl is measured by, and how sessions are put out of step; 0: neither

	Kill *Kill // nil: nobody dies
	// Excused: a session whose refresh was answered, and the answer lost with the replica that was killed, may be signed out,
	// because the provider takes no refresh token twice.
	Excused bool

	Progress func(Progress) // told twice a second; nil: nobody is
}

// Kill says which replica dies: the one at which the moment comes first. At most one dies.
type Kill struct {
	At    Moment
	After time.Duration     // not before the tabs have asked for so long
	Do    func(replica int) // returns when the replica does nothing more
}

// Moment is a step of one refresh.
type Moment int

// The moments, in their order.
const (
	Asked    Moment = iota + 1 // the provider was asked and has not decided: half of Delay.Before is over
	Decided                    // the provider has decided and its answer is under way: half of Delay.After is over
	Answered                   // the answer was written to the replica
	Served                     // a tab holds the new token
)

// Progress is how it goes.
type Progress struct {
	Phase     string // "signing in", "asking", "looking once more"
	Elapsed   time.Duration
	SignedIn  int
	Requests  int
	Refreshes int
	SignedOut int // sessions that were told 401
}

// What holds for every request.
const (
	tokenPath   = "/api/cognito-token"
	signInPath  = "/api/auth/sign-in"
	patience    = 45 * time.Second // a caller without a living token is kept 15 s; a request is given up well after that
	atOnce      = 16               // sign-ins and last looks
	longestLook = TakeOver + 10*time.Second
)

// TakeOver is how long it takes at most until another replica has refreshed a session in the place of one that died: the dead one's
// lease is free after 25 s. After that nobody may be told 503 any more.
const TakeOver = 30 * time.Second

// errConfig is a mistake of whoever runs the laboratory.
var errConfig = errors.New("lab: the configuration cannot be used")

// laboratory is one run.
type laboratory struct {
	Config
	origin    *url.URL
	transport *http.Transport
	tally     *tally
	browsers  []*browser

	begun  time.Time
	dead   []atomic.Bool // by replica
	killed atomic.Bool
	died   atomic.Int64 // when, in unix nanoseconds; 0: nobody has
}

// Run signs everybody in, lets the tabs ask until Duration is over, looks at each session once more, and reports. An error means
// that the run says nothing: nobody could sign in, or ctx ended.
func Run(ctx context.Context, c Config) (Report, error) {
	l, err := newLaboratory(c)
	if err != nil {
		return Report{}, err
	}
	defer l.transport.CloseIdleConnections()
	defer l.progress()()
	if err := l.signIn(ctx); err != nil {
		return Report{}, err
	}
	c.Witness.watch(l.moment)
	defer c.Witness.watch(nil)
	l.ask(ctx)
	l.lookOnceMore(ctx)
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("the run was stopped: %w", err)
	}
	return l.report(), nil
}

func newLaboratory(c Config) (*laboratory, error) {
	origin, err := url.Parse(c.Origin)
	switch {
	case err != nil || origin.Host == "":
		return nil, fmt.Errorf("%w: Origin %q is not an origin", errConfig, c.Origin)
	case len(c.Replicas) == 0 || c.Witness == nil || c.SignIn == nil || c.Duration <= 0:
		return nil, fmt.Errorf("%w: Replicas, Witness, SignIn or Duration is missing", errConfig)
	case c.Kill != nil && len(c.Replicas) < 2:
		return nil, fmt.Errorf("%w: who kills the only replica learns nothing", errConfig)
	}
	c.Sessions, c.Tabs = max(1, c.Sessions), max(1, c.Tabs)
	if c.Every <= 0 {
		c.Every = time.Second
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	l := &laboratory{
		Config: c, origin: origin, tally: &tally{}, dead: make([]atomic.Bool, len(c.Replicas)), begun: time.Now(),
		// A proxy in the environment has no business between us and loopback.
		transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	}
	l.tally.phase = "signing in"
	for n := range c.Sessions {
		b, err := newBrowser(l, n)
		if err != nil {
			return nil, err
		}
		l.browsers = append(l.browsers, b)
	}
	return l, nil
}

// signIn signs all browsers in, some at a time.
func (l *laboratory) signIn(ctx context.Context) error {
	return l.each(ctx, func(ctx context.Context, b *browser) error {
		if err := b.signIn(ctx); err != nil {
			return fmt.Errorf("sign in session %d: %w", b.n+1, err)
		}
		l.tally.signedIn()
		return nil
	})
}

// ask lets every tab ask until the time is over, and waits for the last answers. The tabs of a session begin at one moment.
func (l *laboratory) ask(ctx context.Context) {
	l.begun = time.Now()
	l.tally.enter("asking")
	over, cancel := context.WithTimeout(ctx, l.Duration)
	defer cancel()
	var all sync.WaitGroup
	for _, b := range l.browsers {
		for tab := range l.Tabs {
			all.Go(func() { b.tab(ctx, over, tab) })
		}
	}
	all.Wait()
}

// lookOnceMore asks for every session until somebody says yes or no.
func (l *laboratory) lookOnceMore(ctx context.Context) {
	l.tally.enter("looking once more")
	_ = l.each(ctx, func(ctx context.Context, b *browser) error {
		b.lastLook(ctx)
		return nil
	})
}

// each calls f for every browser, atOnce at a time, and gives the first error.
func (l *laboratory) each(ctx context.Context, f func(context.Context, *browser) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	turns := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for _, b := range l.browsers {
		turns <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-turns }()
			if err := f(ctx, b); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// moment kills if it is time.
func (l *laboratory) moment(m Moment, replica int) {
	k := l.Kill
	if k == nil || m != k.At || time.Since(l.begun) < k.After || !l.killed.CompareAndSwap(false, true) {
		return
	}
	l.died.Store(time.Now().UnixNano())
	l.Witness.condemn(replica)
	l.dead[replica].Store(true) // nobody is sent there any more, and who was is not surprised
	k.Do(replica)
	l.Witness.cut(replica)
}

// mourning: a replica died so lately that others may still wait for what it held.
func (l *laboratory) mourning() bool {
	died := l.died.Load()
	return died != 0 && time.Since(time.Unix(0, died)) < TakeOver
}

// progress tells how it goes until the function that it gives is called.
func (l *laboratory) progress() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	begun := time.Now()
	tell := func() {
		p := l.tally.progress()
		p.Elapsed = time.Since(begun)
		for _, b := range l.browsers {
			p.Refreshes += l.Witness.seen(b.code()).asked
		}
		l.Progress(p)
	}
	go func() {
		defer close(ended)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				tell()
			}
		}
	}()
	return func() { close(done); <-ended; tell() }
}
