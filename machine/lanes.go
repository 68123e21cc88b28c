package machine

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// What a lane may hold at once. A lane that is full holds back its own requests, and nobody else's.
const (
	laneSlots      = 16     // requests to the provider under way, of one credential
	claimedSlots   = 8      // of all strangers that go by one client id
	strangerSlots  = 32     // of all credentials together that never got a token here
	totalSlots     = 128    // of everybody
	maxWaiting     = 512    // requests that wait in one lane; one more is turned away at once
	claimedWaiting = 128    // the same where strangers go by one client id: more than that do not get their turn in time anyway
	maxLanes       = 16_384 // credentials, or client ids, that have a lane of their own; the one unused for longest is forgotten
	longestPause   = 30 * time.Second
	longestAsked   = time.Minute // what is granted of a Retry-After
	firstPause     = 250 * time.Millisecond
)

// lanes stand between this process and the provider. Each credential that has got a token before has a lane of its own, and so has each
// named client. All others are strangers: they share one lane, because anybody can make up a new credential, and come to it through the
// lane of the client id that they go by, because one client with a wrong secret, or with many, must not be all that is in it.
type lanes struct {
	perClient rate.Limit
	patience  time.Duration // how long a request may wait for its turn
	now       func() time.Time

	total     *lane
	strangers *lane
	claimed   *lru.Cache[half, *lane]    // client id → the lane of strangers who go by it
	claims    *lru.Cache[half, half]     // credential of a stranger → the client id that it goes by
	proven    *lru.Cache[half, *lane]    // credential → its lane
	troubled  *lru.Cache[half, *backoff] // credential for which the provider failed last → its pause; a stranger's is its own, too

	breaker  breaker // for everybody
	doubtful breaker // for strangers: what they send may be what makes the provider fail
}

// lane is a share of the requests to the provider.
type lane struct {
	limiter *rate.Limiter
	slots   chan struct{}
	most    int32 // may wait
	waiting atomic.Int32
}

func newLane(limit rate.Limit, slots int, most int32) *lane {
	return &lane{limiter: rate.NewLimiter(limit, max(1, int(limit/2))), slots: make(chan struct{}, slots), most: most}
}

func newLanes(c Config, t Timing) (*lanes, error) {
	total := rate.Limit(c.Rate)
	l := &lanes{
		perClient: rate.Limit(min(c.ClientRate, c.Rate)), patience: t.Turn, now: c.Now,
		total: newLane(total, totalSlots, maxWaiting), strangers: newLane(max(total/2, 1), strangerSlots, maxWaiting),
	}
	var errs [4]error
	l.claimed, errs[0] = lru.New[half, *lane](maxLanes)
	l.claims, errs[1] = lru.New[half, half](maxLanes)
	l.proven, errs[2] = lru.New[half, *lane](maxLanes)
	l.troubled, errs[3] = lru.New[half, *backoff](maxLanes)
	return l, errors.Join(errs[:]...)
}

// path gives the lanes that a credential's requests take, one after the other.
func (l *lanes) path(who half) []*lane {
	if own, ok := l.proven.Get(who); ok {
		return []*lane{own, l.total}
	}
	id := l.claimOf(who)
	own, ok := l.claimed.Get(id)
	if !ok {
		fresh := newLane(l.perClient, claimedSlots, claimedWaiting)
		if own, ok, _ = l.claimed.PeekOrAdd(id, fresh); !ok {
			own = fresh
		}
	}
	return []*lane{own, l.strangers, l.total}
}

// claim remembers which client id a credential goes by; nobody has checked that.
func (l *lanes) claim(who, id half) {
	if !l.proven.Contains(who) {
		l.claims.Add(who, id)
	}
}

// claimOf gives the client id that a credential goes by; the zero one if so many came since that it was forgotten.
func (l *lanes) claimOf(who half) half {
	id, _ := l.claims.Get(who)
	return id
}

// idOf gives what the lane of a request's client id is found by.
func (c *Cache) idOf(q *ask) half {
	id, _ := c.memory.keys.ofCanonical(append([]byte{'i'}, q.goesBy()...))
	return id
}

// passer gives who is paused and waits for a request that is passed on: the credential, and the client id where there is none. What
// is passed on never proves anything, so it is nobody who has a lane.
func (c *Cache) passer(q *ask) half {
	who, _ := c.memory.keys.ofCanonical(append(append([]byte{'x'}, q.credential.plain().text()...), q.goesBy()...))
	c.lanes.claim(who, c.idOf(q))
	return who
}

// prove gives a lane of its own to a credential that got a token, or that we know to be a named client's.
func (l *lanes) prove(who half) {
	if _, ok := l.proven.Get(who); !ok {
		l.proven.ContainsOrAdd(who, newLane(l.perClient, laneSlots, maxWaiting))
	}
}

// enter waits for a turn, first in the lane of the fewest: who waits there holds nothing that others wait for. leave gives it back. A
// pause of shared counts as one of who's own.
func (l *lanes) enter(ctx context.Context, who half, shared ...half) (leave func(), err error) {
	pauses := append(shared, who)
	if f := l.paused(pauses...); f != nil {
		return nil, f
	}
	if wait := l.open(who); wait > 0 {
		return nil, &Failure{Kind: ErrUnavailable, RetryAfter: wait, Cause: errOpen}
	}
	path := l.path(who)
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	for i, lane := range path {
		if err := lane.take(ctx); err != nil {
			giveBack(path[:i])
			return nil, err
		}
	}
	if f := l.paused(pauses...); f != nil { // it began while this request waited
		giveBack(path)
		return nil, f
	}
	return func() { giveBack(path) }, nil
}

// paused turns credentials away for one of which the provider throttled or failed; nil: they may go on.
func (l *lanes) paused(all ...half) error {
	for _, who := range all {
		if b, ok := l.troubled.Get(who); ok {
			if err := b.refusal(l.now()); err != nil {
				return err
			}
		}
	}
	return nil
}

func giveBack(path []*lane) {
	for _, lane := range slices.Backward(path) {
		lane.give()
	}
}

var (
	errPaused = errors.New("the provider throttled or failed a moment ago")
	errOpen   = errors.New("the provider failed several times in a row")
	errTurn   = errors.New("the share of requests to the provider is used up")
)

// heldBack says that a request was not made, by what enter knows of this process alone.
func heldBack(err error) bool {
	return errors.Is(err, errPaused) || errors.Is(err, errOpen) || errors.Is(err, errTurn)
}

func (l *lane) take(ctx context.Context) error {
	if l.waiting.Add(1) > l.most {
		l.waiting.Add(-1)
		return busy()
	}
	defer l.waiting.Add(-1)
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return busy()
	}
	if err := l.limiter.Wait(ctx); err != nil {
		l.give()
		return busy()
	}
	return nil
}

func (l *lane) give() { <-l.slots }

func busy() error { return &Failure{Kind: ErrBusy, RetryAfter: time.Second, Cause: errTurn} }

// ended tells the credential's pause and the breakers how a request went; err is that of a request without an answer.
func (l *lanes) ended(who half, v verdict, wait time.Duration, err error) {
	l.heard(who, v, wait)
	l.judge(who, v.failed(), neverConnected(err))
}

// heard begins or ends the pause of a credential.
func (l *lanes) heard(who half, v verdict, wait time.Duration) {
	now := l.now()
	if v.failed() {
		fresh := &backoff{}
		b, had, _ := l.troubled.PeekOrAdd(who, fresh)
		if !had {
			b = fresh
		}
		b.failed(now, v, wait)
	} else if b, ok := l.troubled.Peek(who); ok && b.refusal(now) == nil { // what was under way when the pause began does not end it
		l.troubled.Remove(who)
	}
}

// passed is ended for a request that was passed on. A failure without a word of when to come back pauses nobody: a request that makes
// the provider fail is easily made up in the name of a client that has no secret.
func (l *lanes) passed(who half, r *reply, err error) {
	wait := r.wait(l.now())
	if err != nil || r.verdict == unavailable && wait == 0 {
		l.judge(who, true, neverConnected(err))
		return
	}
	l.ended(who, r.verdict, wait, nil)
}

// neverConnected says that the provider is away, whoever asks: nothing of the request had been sent.
func neverConnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// backoff pauses after failures: exponentially longer, with full jitter, and at least as long as the provider asked for.
type backoff struct {
	mu       sync.Mutex
	failures int
	kind     error // of the last failure, for who comes meanwhile
	until    time.Time
}

// refusal turns away who comes during a pause; nil: it is over.
func (b *backoff) refusal(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.until.Sub(now); wait > 0 {
		return &Failure{Kind: b.kind, RetryAfter: wait, Cause: errPaused}
	}
	return nil
}

func (b *backoff) failed(now time.Time, v verdict, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kind = v.kind()
	b.until = now.Add(max(min(wait, longestAsked), fullJitter(firstPause, b.failures, longestPause)))
	b.failures++
}

// fullJitter is a random time up to first doubled n times, at most limit.
func fullJitter(first time.Duration, n int, limit time.Duration) time.Duration {
	return rand.N(min(limit, first<<min(n, 16)) + 1)
}
