package handlers_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// many asks for a token n times at once with the same cookies, and gives the answers.
func many(t *testing.T, n int, cookies string, servers ...*server) []answer {
	t.Helper()
	answers := make([]answer, n)
	faults := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		b := servers[i%len(servers)].stranger(t)
		group.Go(func() { answers[i], faults[i] = b.try(context.Background(), http.MethodGet, tokenPath, "", cookies) })
	}
	group.Wait()
	for _, err := range faults {
		must(t, err)
	}
	return answers
}

func sameToken(t *testing.T, answers []answer) string {
	t.Helper()
	first := answers[0].token(t).AccessToken
	for _, a := range answers {
		if a.token(t).AccessToken != first {
			t.Error("two answers carry different tokens")
		}
	}
	return first
}

// The provider rotates without grace: a second use of the refresh token would end the sign-in.
func TestFiftyParallelRequestsWithAnExpiredTokenAreOneRefresh(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	before := b.token("").AccessToken
	old := b.cookies()
	s.clock.advance(2 * time.Hour)

	answers := many(t, 50, old, s)
	if sameToken(t, answers) == before {
		t.Error("the token is still the old one")
	}
	for _, a := range answers {
		if a.sets(s.cookie) == nil {
			t.Fatal("an answer lacks the newer cookie: the browser may keep any of the fifty")
		}
		private(t, a)
	}
	if got := s.provider.Stats(); got.Refresh.Asked != 1 || got.Refresh.OK != 1 || got.Reuses != 0 {
		t.Errorf("got %+v refreshes and %d reuses, want exactly 1 and 0", got.Refresh, got.Reuses)
	}
}

func TestFiftyParallelRequestsToTwoReplicasAreOneRefresh(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	other := s.replica(t, nil)
	b := s.browser(t)
	b.signIn()
	s.clock.advance(2 * time.Hour)
	sameToken(t, many(t, 50, b.cookies(), s, other))
	if got := s.provider.Stats(); got.Refresh.Asked != 1 || got.Reuses != 0 {
		t.Errorf("got %+v refreshes and %d reuses, want exactly 1 and 0", got.Refresh, got.Reuses)
	}
}

// Two people who share nothing but the moment must share nothing else either.
func TestParallelRefreshesOfTwoPeopleStayApart(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	users := s.provider.Users()
	alice, bruno := s.browser(t), s.browser(t)
	alice.signIn(users[0])
	bruno.signIn(users[1])
	s.clock.advance(2 * time.Hour)
	var group sync.WaitGroup
	got := make([][]answer, 2)
	for i, b := range []*browser{alice, bruno} {
		cookies := b.cookies()
		group.Go(func() { got[i] = many(t, 20, cookies, s) })
	}
	group.Wait()
	if sameToken(t, got[0]) == sameToken(t, got[1]) {
		t.Fatal("two people got one token")
	}
	for i, b := range []*browser{alice, bruno} {
		b.get(tokenPath)
		if a := b.get("/api/auth/session"); !strings.Contains(a.body, users[i].Email) {
			t.Errorf("got %s, want %s", a.body, users[i].Email)
		}
	}
	if got := s.provider.Stats().Refresh.Asked; got != 2 {
		t.Errorf("got %d refreshes, want one each", got)
	}
}

func TestAStragglerWithTheOldCookieGetsTheSuccessor(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	old := b.cookies()
	s.clock.advance(2 * time.Hour)
	fresh := b.token("").AccessToken
	s.clock.advance(time.Minute)

	for name, at := range map[string]*server{"here": s, "at another replica": s.replica(t, nil)} {
		a := at.stranger(t).get(tokenPath, old)
		if got := a.token(t).AccessToken; got != fresh {
			t.Errorf("%s: got another token than the successor", name)
		}
		if a.sets(s.cookie) == nil {
			t.Errorf("%s: the straggler did not get the newer cookie", name)
		}
	}
	if got := s.provider.Stats(); got.Refresh.Asked != 1 || got.Reuses != 0 {
		t.Errorf("got %+v refreshes and %d reuses, want 1 and 0", got.Refresh, got.Reuses)
	}
}

func TestAStragglerManyRefreshesBehindGetsTheNewest(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.dev.AccessLife = 2 * time.Minute })
	b := s.browser(t)
	b.signIn()
	old := b.cookies()
	last := ""
	for range 4 {
		s.clock.advance(2 * time.Minute)
		last = b.token("").AccessToken
	}
	if got := s.stranger(t).token("", old).AccessToken; got != last {
		t.Error("got a token in between, want the newest")
	}
	if got := s.provider.Stats(); got.Refresh.Asked != 4 || got.Reuses != 0 {
		t.Errorf("got %+v refreshes and %d reuses, want 4 and 0", got.Refresh, got.Reuses)
	}
}

func TestTheTokenIsRefreshedBeforeItRunsOut(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		life    time.Duration
		aged    time.Duration
		refresh bool
	}{
		{"five minutes and a second before its end it is good", time.Hour, 55*time.Minute - time.Second, false},
		{"less than five minutes before its end it is renewed", time.Hour, 55*time.Minute + time.Second, true},
		{"a short-lived one is good for half its life", 4 * time.Minute, 2 * time.Minute, false},
		{"and renewed in the other half", 4 * time.Minute, 2*time.Minute + time.Second, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(o *options) { o.dev.AccessLife = row.life })
			b := s.browser(t)
			b.signIn()
			first := b.token("").AccessToken
			s.clock.advance(row.aged)
			if refreshed := b.token("").AccessToken != first; refreshed != row.refresh {
				t.Errorf("got refreshed %v, want %v", refreshed, row.refresh)
			}
		})
	}
}

// Old and new refresh token are the same there, so the kept result of one refresh is found again at the next.
func TestAProviderWithoutRotationIsAskedAsOften(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.dev.NoRotation, o.dev.AccessLife = true, 2*time.Minute })
	b := s.browser(t)
	b.signIn()
	seen := map[string]bool{b.token("").AccessToken: true}
	for i := range 3 {
		old := b.cookies()
		s.clock.advance(2 * time.Minute)
		seen[sameToken(t, many(t, 20, old, s))] = true
		b.token("")
		if got := s.provider.Stats().Refresh.Asked; got != int64(i+1) {
			t.Errorf("round %d: got %d refreshes in all, want one a round", i+1, got)
		}
	}
	if len(seen) != 4 {
		t.Errorf("got %d different tokens, want 4: an old result must not be served again", len(seen))
	}
}

// A browser that hangs up takes nothing with it: the rotation goes on, and the others get its result.
func TestABrowserThatHangsUpDoesNotStopTheRefresh(t *testing.T) {
	t.Parallel()
	g := newGate()
	g.answers = true // the refresh token is spent by then
	s := newServer(t, func(o *options) { o.idp.Transport = g })
	b := s.browser(t)
	b.signIn()
	s.clock.advance(2 * time.Hour)
	open := g.close()

	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	leaver := s.stranger(t)
	cookies := b.cookies()
	go func() {
		_, err := leaver.try(ctx, http.MethodGet, tokenPath, "", cookies)
		gone <- err
	}()
	<-g.arrived
	hangUp()
	if err := <-gone; err == nil {
		t.Fatal("the browser that hung up got an answer")
	}
	until(t, "the server has noticed", func() bool { return strings.Contains(s.logs.String(), "status=499") })
	if log := s.logs.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "status=503") {
		t.Errorf("who hangs up is logged as an outage: %s", log)
	}
	s.tells(t, "after the browser hung up", map[string]string{
		`vestibule_http_requests_total{method="GET",route="/api/cognito-token",status="499"}`: "1",
		`vestibule_http_requests_total{method="GET",route="/api/cognito-token",status="503"}`: "",
	})
	open()
	b.token("")
	if got := s.provider.Stats(); got.Refresh.Asked != 1 || got.Reuses != 0 {
		t.Errorf("got %+v refreshes and %d reuses, want 1 and 0", got.Refresh, got.Reuses)
	}
}

// until waits for something that another goroutine does.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(20 * time.Second)
	defer patience.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-patience.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestSignOutDuringARefreshWins(t *testing.T) {
	t.Parallel()
	for name, answered := range map[string]bool{"the provider has not refreshed yet": false, "the provider has refreshed already": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate()
			g.answers = answered
			s := newServer(t, func(o *options) { o.idp.Transport = g; o.session.Timing.Revoke = 20 * time.Millisecond })
			b := s.browser(t)
			b.signIn()
			old := b.cookies()
			s.clock.advance(2 * time.Hour)
			open := g.close()
			waiting := s.later(t, old)
			<-g.arrived
			if a := b.post("/api/auth/sign-out", nil); a.status != http.StatusSeeOther {
				t.Fatalf("sign-out: got %d, want 303", a.status)
			}
			if !answered {
				until(t, "the refresh token is revoked", func() bool { return s.provider.Stats().Revoke.OK > 0 })
			}
			open()
			a := <-waiting
			a.wants(t, http.StatusUnauthorized, unauthorized)
			if a.sets(s.cookie) != nil {
				t.Error("the refresh that was under way brought the session back")
			}
			must(t, s.sessions.Drain(t.Context()))
			s.stranger(t).get(tokenPath, old).wants(t, http.StatusUnauthorized, unauthorized)
			got := s.provider.Stats()
			if answered != (got.Refresh.OK == 1) {
				t.Fatalf("got %+v refreshes: this proves nothing", got.Refresh)
			}
			if want := int64(1); answered && got.Revoke.OK <= want || got.Revoke.OK < want {
				t.Errorf("got %+v revocations, want the old refresh token's, and the new one's where there is one", got.Revoke)
			}
		})
	}
}

// later asks for a token in the background; the answer has status 0 if there was none.
func (s *server) later(t *testing.T, cookies string) <-chan answer {
	t.Helper()
	b, out := s.stranger(t), make(chan answer, 1)
	go func() {
		a, _ := b.try(context.Background(), http.MethodGet, tokenPath, "", cookies) // status 0 tells
		out <- a
	}()
	return out
}

func TestTheStopOfTheServerWaitsForARefresh(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newServer(t, func(o *options) { o.idp.Transport = g })
	b := s.browser(t)
	b.signIn()
	old := b.cookies()
	s.clock.advance(2 * time.Hour)
	open := g.close()
	waiting := s.later(t, old)
	<-g.arrived
	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Fatal("the server stopped while a refresh was under way")
	case <-time.After(50 * time.Millisecond):
	}
	open()
	if a := <-waiting; a.status != http.StatusOK {
		t.Errorf("the request under way: got %d, want 200", a.status)
	}
	<-stopped
}

func TestARefusedRefreshEndsTheSessionAndIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := s.browser(t)
	b.signIn()
	old := b.cookies()
	s.provider.RevokeUser("alice@example.com")
	s.clock.advance(56 * time.Minute) // the access token still lives, but its session is over at the provider

	a := b.get(tokenPath)
	a.wants(t, http.StatusUnauthorized, unauthorized)
	if !a.cleared(s.cookie) || b.holdsSession() {
		t.Error("the cookie of a session that is over was not cleared")
	}
	for range 10 {
		s.stranger(t).get(tokenPath, old).wants(t, http.StatusUnauthorized, unauthorized)
	}
	if got := s.provider.Stats().Refresh.Asked; got != 1 {
		t.Errorf("got %d refreshes, want 1: the refusal is remembered", got)
	}
	b.signIn()
	b.token("")
}

func TestTheSessionsAbsoluteLifetimeIsNeverExtended(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.session.MaxAge = 3 * time.Hour })
	b := s.browser(t)
	b.signIn()
	for range 2 {
		s.clock.advance(80 * time.Minute)
		a := b.get(tokenPath)
		c := a.sets(s.cookie)
		if c == nil {
			t.Fatalf("got %d, want a refresh and a new cookie", a.status)
		}
		if c.MaxAge > 3*3600-80*60 {
			t.Errorf("the cookie lives %d s more, want no more than what is left of three hours", c.MaxAge)
		}
	}
	s.clock.advance(21 * time.Minute)
	b.get(tokenPath).wants(t, http.StatusUnauthorized, unauthorized)
}
