package machine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"vestibule/kv"
)

// Config configures New. Keys, Realm and TokenURL are required.
type Config struct {
	Keys KeyRing // seal what stands in the store
	// Realm names the provider: its issuer, or the address of its token endpoint. A token in the store is found only by who names the
	// same one, so replicas that ask another provider are not given it. It is known at start, which TokenURL need not be.
	Realm    string
	TokenURL func(ctx context.Context) (string, error) // the provider's token endpoint; it may wait until it is known

	// Store is what replicas share; nil: this process is alone. A kv.Memory would only hold everything twice.
	Store   kv.Store
	Clients []Client
	// Provider is what named clients' tokens are asked for with, unless a client has credentials of its own.
	Provider Credentials

	MinTTL      time.Duration // life below which a token is served only if the provider fails, at most a fifth of its life; 60 s
	MemoryBytes int           // what tokens may take in memory; 64 MB, which is also the least
	Rate        int           // requests per second to the provider, of everybody; 100
	ClientRate  int           // the same, of one credential; 20

	Transport http.RoundTripper // default: one of our own (connect within 3 s)
	Timing    Timing
	Now       func() time.Time // default time.Now
	Logger    *slog.Logger     // default: discards
	Observe   func(Event)      // must not block; default: nobody
}

// Timing is how long things take and are kept. The zero value of each field means its default.
type Timing struct {
	WaitLiving time.Duration // a caller whose token still lives waits this long for a newer one; 2 s
	WaitDead   time.Duration // a caller without a token; 15 s
	Call       time.Duration // one request to the provider; 10 s
	Turn       time.Duration // how long a request waits for its turn to be made; 5 s
	Flight     time.Duration // all that is done for one token, other replicas waited for; 45 s
	// Lease is how long a lease outlives its last renewal; 5 s. It is short, so that who waits for a replica that died is served within
	// WaitDead: a second holder costs a token and does no harm.
	Lease    time.Duration
	Renew    time.Duration // how often a lease is renewed; 1 s
	Poll     time.Duration // how often a waiter looks; 50 ms, jittered
	Negative time.Duration // a refused credential is remembered; 5 s, which is also the most
	Breather time.Duration // after a failed renewal a living token is served without another; 5 s, jittered
}

// Cache answers token requests. Make it with New; its methods are safe for concurrent use.
type Cache struct {
	c           Config
	t           Timing
	client      *http.Client
	named       map[string]*named // client id → who it is
	clients     []*named          // the same, in the order of their place
	keys        *storeKeys
	memory      *memory
	hot         hot
	lanes       *lanes
	negatives   *lru.Cache[half, negative] // credential → why it was refused
	refusals    refusals                   // the same of our own
	flights     singleflight.Group
	since       sync.Map            // half, what a flight is for → time.Time, when it began
	running     *semaphore.Weighted // flights, for Drain
	leaving     chan struct{}       // closed by the first Drain
	tellRefresh sync.Once           // that the provider sends refresh tokens
	leave       func()
}

// negative is the refusal of a credential.
type negative struct {
	until time.Time
	reply *reply
}

const (
	maxNegatives     = 4096
	maxNegativeBytes = 4096 // a longer refusal is not remembered
	maxNegativeTime  = 5 * time.Second
	maxRunning       = 1 << 30
)

// New makes a Cache; the error names what is missing.
func New(c Config) (*Cache, error) {
	for name, missing := range map[string]bool{"Keys": c.Keys == nil, "Realm": c.Realm == "", "TokenURL": c.TokenURL == nil} {
		if missing {
			return nil, errors.New("machine: Config." + name + " is missing")
		}
	}
	c.setDefaults()
	m := &Cache{
		c: c, t: c.Timing, memory: newMemory(c.MemoryBytes, c.MinTTL),
		client:  &http.Client{Transport: c.Transport, CheckRedirect: stayHere},
		running: semaphore.NewWeighted(maxRunning), leaving: make(chan struct{}),
	}
	m.leave = sync.OnceFunc(func() { close(m.leaving) })
	var err error
	if m.keys, err = newStoreKeys(c.Keys, c.Realm); err != nil {
		return nil, err
	}
	if m.named, err = nameClients(c.Clients, c.Provider); err != nil {
		return nil, err
	}
	for _, client := range c.Clients {
		m.clients = append(m.clients, m.named[client.ID])
	}
	if m.lanes, err = newLanes(c, m.t); err != nil {
		return nil, err
	}
	m.negatives, err = lru.New[half, negative](maxNegatives)
	return m, err
}

// stayHere keeps a redirect from being followed: it would carry credentials elsewhere.
func stayHere(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (c *Config) setDefaults() {
	if c.MemoryBytes <= 0 {
		c.MemoryBytes = leastMemory
	}
	if c.Rate <= 0 {
		c.Rate = 100
	}
	if c.ClientRate <= 0 {
		c.ClientRate = 20
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	t := &c.Timing
	for _, d := range []struct {
		field     *time.Duration
		byDefault time.Duration
	}{
		{&c.MinTTL, time.Minute}, {&t.WaitLiving, 2 * time.Second}, {&t.WaitDead, 15 * time.Second}, {&t.Call, 10 * time.Second},
		{&t.Turn, 5 * time.Second}, {&t.Flight, 45 * time.Second}, {&t.Lease, 5 * time.Second}, {&t.Renew, time.Second},
		{&t.Poll, 50 * time.Millisecond}, {&t.Negative, maxNegativeTime}, {&t.Breather, 5 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.byDefault
		}
	}
	t.Negative = min(t.Negative, maxNegativeTime)
}

// Held is how many tokens are in memory; such as are over and were not overwritten yet count.
func (c *Cache) Held() int { return c.memory.len() }

// Drain waits until nothing is being asked of the provider, or ctx ends: a lease that is left behind keeps other replicas waiting. One
// that the store does not take back is tried once more, and then left to run out.
func (c *Cache) Drain(ctx context.Context) error {
	c.leave()
	if err := c.running.Acquire(ctx, maxRunning); err != nil {
		return err
	}
	c.running.Release(maxRunning)
	return nil
}

// Token answers a request; the body of a token is appended to dst. What the provider said, also a refusal, is an Answer. Errors are
// ErrRequest, ErrClient, ErrGrant, ErrScope, or a *Failure: ErrBusy, ErrUnavailable.
func (c *Cache) Token(ctx context.Context, dst []byte, r Request) (Answer, error) {
	a, err := c.token(ctx, dst, r)
	if err == nil {
		if a.How == HowMiss {
			a.saved = 0
		}
		c.c.Observe(Event{Kind: EventAnswer, Outcome: string(a.How), Saved: a.saved})
	}
	return a, err
}

func (c *Cache) token(ctx context.Context, dst []byte, r Request) (Answer, error) {
	var find, open half
	if r.DPoP == "" {
		find, open = c.memory.keys.ofRequest(r)
		if a, ok := c.recalled(dst, r, find, open); ok {
			return a, nil
		}
	}
	q, err := read(r)
	if err != nil {
		return Answer{}, err
	}
	if err := c.admit(ctx, &q); err != nil {
		return Answer{}, err
	}
	if q.pass {
		return c.passOn(ctx, &q)
	}
	w := c.want(&q)
	a, err := c.understood(ctx, dst, w)
	if err == nil && a.TTL > 0 {
		c.memory.remember(find, open, c.byname(w))
	}
	return a, err
}

// recalled answers from memory without understanding the request: it came before, letter by letter.
func (c *Cache) recalled(dst []byte, r Request, find, open half) (Answer, bool) {
	now := c.c.Now()
	since := r.since(now)
	if o := c.hot.get(find, now); o != nil && !o.token.asked.Before(since) {
		a, ok := o.token.answer(dst, now, HowHit)
		return c.attributed(a, o.name, ok)
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	n, ok := c.memory.recall(*buf, find, open)
	if !ok {
		return Answer{}, false
	}
	a, state := c.serve(dst, look{find: n.find, open: n.open, since: since, as: &opened{find: find, name: n, round: c.hot.round.Load()}})
	a, ok = c.attributed(a, n, state != notServed)
	if ok && state == servedDue {
		r.Body = bytes.Clone(r.Body) // the caller's again when this returns
		c.renewLater(r, a.asked)
	}
	return a, ok
}

// attributed says which named client an answer from memory is for; false if its key is another by now.
func (c *Cache) attributed(a Answer, n byname, ok bool) (Answer, bool) {
	if !ok || n.client == 0 {
		return a, ok
	}
	client := c.clients[n.client-1]
	a.Client, a.Scope = client.ID, n.scope
	return a, c.memory.keys.mark(client.Secret()) == n.mark
}

// want is an understood request with what finds and opens its token.
type want struct {
	*ask
	find, open half
	who        half // the credential, however it is spelled: whose share and pause it is
	literally  half // the credential as it was sent: whom the provider refused
	canon      []byte
	seen       time.Time // when the token was asked for that is to be replaced; zero: none was found
	since      time.Time // see look
	forced     bool      // the token that was found is good but for since
}

func (c *Cache) want(q *ask) *want {
	w := &want{ask: q, canon: q.canonical(), since: q.request.since(c.c.Now())}
	w.find, w.open = c.memory.keys.ofCanonical(w.canon)
	w.who, _ = c.memory.keys.ofCanonical(q.credential.plain().text())
	w.literally, _ = c.memory.keys.ofCanonical(q.credential.text())
	if q.named != nil {
		c.lanes.prove(w.who) // it brought its own key: nobody else can fill its lane
	} else {
		c.lanes.claim(w.who, c.idOf(q))
	}
	return w
}

func (c *Cache) byname(w *want) byname {
	n := byname{find: w.find, open: w.open}
	if w.named != nil {
		n.client, n.mark, n.scope = w.named.at, c.memory.keys.mark(w.named.Secret()), w.scope()
	}
	return n
}
