package lab

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How tabs behave.
const (
	minTTLOneIn   = 10 // so many polls ask for min_ttl
	forcedOneIn   = 40 // so many polls ask for a new token
	lateOneIn     = 4  // so many answers are slow to reach the jar
	latest        = 300 * time.Millisecond
	largestAnswer = 64 << 10
)

// browser is one session: the cookies that all its tabs share.
type browser struct {
	lab *laboratory
	n   int
	jar *cookiejar.Jar

	mu         sync.Mutex
	authorized string // the code that the session began with; the witness knows its refreshes by it
	origin     string // origin_jti of its tokens: a token with another one is somebody else's
	newest     string // the token that was served last
	told401    bool
	putOff     int // answers of 503 while a dead replica's lease may stand
	endedOut   bool
}

func newBrowser(l *laboratory, n int) (*browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("make a cookie jar: %w", err)
	}
	return &browser{lab: l, n: n, jar: jar}, nil
}

func (b *browser) code() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.authorized
}

// answer is what a replica said.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	cookies []*http.Cookie // not in the jar yet
}

// get asks one replica, under the name that browsers know all of them by. The cookies are those of this moment.
func (b *browser) get(ctx context.Context, replica int, path string, header http.Header) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.lab.Replicas[replica]+path, nil)
	if err != nil {
		return answer{}, err
	}
	req.Host = b.lab.origin.Host
	req.Header = header
	for _, c := range b.jar.Cookies(b.lab.origin) {
		req.AddCookie(c)
	}
	res, err := b.lab.transport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(res.Body, largestAnswer))
	return answer{status: res.StatusCode, header: res.Header, body: body, cookies: res.Cookies()}, err
}

func (b *browser) keep(a answer) { b.jar.SetCookies(b.lab.origin, a.cookies) }

// signIn goes from replica to replica: which one began it must not matter.
func (b *browser) signIn(ctx context.Context) error {
	visit := http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"}}
	begin, err := b.get(ctx, b.lab.anyReplica(), signInPath, visit)
	if err != nil {
		return err
	}
	b.keep(begin)
	if begin.status != http.StatusFound {
		return fmt.Errorf("%s answered %d", signInPath, begin.status)
	}
	back, err := b.lab.SignIn(ctx, begin.header.Get("Location"), b.n)
	if err != nil {
		return err
	}
	at, err := url.Parse(back)
	if err != nil {
		return errors.New("the provider's redirect is no address")
	}
	end, err := b.get(ctx, b.lab.anyReplica(), at.RequestURI(), visit)
	if err != nil {
		return err
	}
	b.keep(end)
	if end.status != http.StatusSeeOther {
		return fmt.Errorf("%s answered %d", at.Path, end.status)
	}
	b.mu.Lock()
	b.authorized = at.Query().Get("code")
	b.mu.Unlock()
	return nil
}

// stagger is when the session's tabs begin. Sessions that signed in at one moment would refresh in step for ever, as no others do.
func (b *browser) stagger() time.Duration {
	return b.lab.TokenLife / 2 * time.Duration(b.n) / time.Duration(b.lab.Sessions)
}

// tab asks until over ends. Every second tab asks on the beat, as all tabs do when a machine wakes up; the others in between.
func (b *browser) tab(ctx, over context.Context, tab int) {
	first := b.stagger()
	if !pause(over, first) {
		return
	}
	query := b.lab.query()
	if tab == 0 && first > 0 {
		query = "?forceRefresh=true" // out of step, from the first token on
	}
	for beat := 1; ; beat++ {
		b.ask(ctx, query)
		query = b.lab.query()
		next := first + time.Duration(beat)*b.lab.Every
		if tab%2 == 1 {
			next += rand.N(b.lab.Every)
		}
		wait := time.NewTimer(time.Until(b.lab.begun.Add(next)))
		select {
		case <-wait.C:
		case <-over.Done():
			wait.Stop()
			return
		}
		if late := time.Since(b.lab.begun.Add(next)); late > b.lab.Every {
			beat += int(late / b.lab.Every) // an answer took longer than a beat: those that passed are not made up for
		}
	}
}

// query is what a poll asks for beyond a token.
func (l *laboratory) query() string {
	switch {
	case rand.N(forcedOneIn) == 0:
		return "?forceRefresh=true"
	case l.TokenLife > 0 && rand.N(minTTLOneIn) == 0:
		return "?min_ttl=" + strconv.Itoa(int(l.TokenLife*6/10/time.Second))
	}
	return ""
}

// anyReplica is one of those that live.
func (l *laboratory) anyReplica() int {
	for {
		if r := rand.N(len(l.Replicas)); !l.dead[r].Load() {
			return r
		}
	}
}

// ask is one poll of one tab.
func (b *browser) ask(ctx context.Context, query string) int {
	replica := b.lab.anyReplica()
	before := b.lab.Witness.seen(b.code())
	begun := time.Now()
	a, err := b.get(ctx, replica, tokenPath+query, http.Header{"Sec-Fetch-Site": {"same-origin"}})
	took := time.Since(begun)
	if err != nil {
		if ctx.Err() == nil {
			b.lab.tally.broken(b.lab.dead[replica].Load())
		}
		return 0
	}
	if rand.N(lateOneIn) == 0 { // what a later request was answered may reach the jar first
		pause(ctx, rand.N(latest))
	}
	b.keep(a)
	after := b.lab.Witness.seen(b.code())
	b.lab.tally.answered(a.status, took, before.under > 0 || after.asked > before.asked)
	switch a.status {
	case http.StatusOK:
		b.served(a.body)
	case http.StatusUnauthorized:
		b.signedOut()
	case http.StatusServiceUnavailable:
		b.toldLater()
	}
	return a.status
}

// served looks at a token: is it this session's, and does it live?
func (b *browser) served(body []byte) {
	var said struct {
		Token     string `json:"accessToken"`
		ExpiresIn int64  `json:"expiresIn"`
	}
	origin := ""
	if json.Unmarshal(body, &said) == nil {
		origin = originOf(said.Token)
	}
	b.mu.Lock()
	if b.origin == "" {
		b.origin = origin
	}
	stray := origin == "" || origin != b.origin
	fresh := b.newest != "" && said.Token != b.newest
	b.newest = said.Token
	b.mu.Unlock()
	if stray || said.ExpiresIn < 0 {
		b.lab.tally.strayed()
	}
	if fresh {
		if replica := b.lab.Witness.heard(b.code()); replica >= 0 {
			b.lab.moment(Served, replica)
		}
	}
}

// originOf reads origin_jti, which all tokens of one sign-in share, out of a JWT that nobody here has to trust.
func originOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	plain, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Origin string `json:"origin_jti"`
	}
	if err != nil || json.Unmarshal(plain, &claims) != nil {
		return ""
	}
	return claims.Origin
}

// signedOut is what an application makes of a 401: it shows its sign-in page, whatever the next answer would be.
func (b *browser) signedOut() {
	b.mu.Lock()
	first := !b.told401
	b.told401 = true
	b.mu.Unlock()
	if first {
		b.lab.tally.signedOut()
	}
}

func (b *browser) toldLater() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lab.mourning() {
		b.putOff++
	}
}

// lastLook asks until the answer is yes or no.
func (b *browser) lastLook(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, longestLook)
	defer cancel()
	for ctx.Err() == nil {
		switch b.ask(ctx, "") {
		case http.StatusOK:
			return
		case http.StatusUnauthorized:
			b.mu.Lock()
			b.endedOut = true
			b.mu.Unlock()
			return
		}
		pause(ctx, b.lab.Every/2)
	}
	b.lab.tally.unanswered()
}

// cookieBytes is what the browser sends with every request: names and values.
func (b *browser) cookieBytes() int {
	sum := 0
	for _, c := range b.jar.Cookies(b.lab.origin) {
		sum += len(c.Name) + len(c.Value)
	}
	return sum
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
