package machine_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/kv"
	"vestibule/machine"
)

// One clock is ten minutes behind, another forty ahead: nobody is told of more life than the provider gave.
func TestClocksThatDifferGiveATokenNoMoreThanItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := &provider{}, kv.NewMemory(kv.MemoryConfig{})
		newReplica(t, p, store).token(t, from("a", "s"))
		for skew, want := range map[time.Duration]time.Duration{-10 * time.Minute: time.Hour, 40 * time.Minute: 20 * time.Minute} {
			r := newReplica(t, p, store, func(c *machine.Config) { c.Now = func() time.Time { return time.Now().Add(skew) } })
			for range 3 {
				a := r.ask(t, from("a", "s"))
				if said := fmt.Sprintf(`"expires_in":%d,`, int(want.Seconds())); a.TTL != want || !strings.Contains(string(a.Body), said) {
					t.Errorf("clock off by %s: got %s, %s, want %s", skew, a.TTL, a.Body, want)
				}
			}
		}
		if got := p.calls.Load(); got != 1 {
			t.Errorf("%d requests, want one", got)
		}
	})
}

// basicOf is a request whose id and secret stand in the header as they are given.
func basicOf(id, secret string, n int) machine.Request {
	return machine.Request{
		Authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret)),
		Body:          fmt.Appendf(nil, "grant_type=client_credentials&scope=%d", n),
	}
}

// RFC 6749, section 2.3.1: providers undo the form encoding, so one client can write its name and its secret in many ways.
func TestTheClientRateIsOneHoweverTheClientIsSpelled(t *testing.T) {
	spellings := []func(n int) machine.Request{
		func(n int) machine.Request { return basicOf("sp", "se", n) },
		func(n int) machine.Request { return basicOf("%73p", "se", n) },
		func(n int) machine.Request { return basicOf("s%70", "%73e", n) },
		func(n int) machine.Request {
			return machine.Request{Body: fmt.Appendf(nil, "grant_type=client_credentials&client_id=sp&client_secret=se&scope=%d", n)}
		},
	}
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		for i, spelled := range spellings {
			r.token(t, spelled(i))
		}
		time.Sleep(10 * time.Second) // the allowance is whole again
		before := p.calls.Load()
		var wait sync.WaitGroup
		for i := range 200 {
			wait.Go(func() { _, _ = r.Token(t.Context(), nil, spellings[i%len(spellings)](100+i)) })
		}
		time.Sleep(time.Second)
		if got := p.calls.Load() - before; got > 20+10 || got < 20 {
			t.Errorf("%d requests in the first second, want 20 and at first ten more", got)
		}
		wait.Wait()
	})
}

// A pause is the client's, too; what was refused is what was sent.
func TestAPauseHoldsAndARefusalDoesNotHoweverTheClientIsSpelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{header: http.Header{"Retry-After": {"30"}}}
		p.set(always(429, "later"))
		r := newReplica(t, p, nil)
		r.ask(t, basicOf("sp", "se", 1))
		r.fails(t, basicOf("s%70", "se", 1), machine.ErrBusy)
		time.Sleep(time.Minute)
		p.set(always(400, `{"error":"invalid_client"}`)) // a provider that undoes nothing
		r.ask(t, basicOf("s%70", "se", 1))
		p.set(nil)
		r.token(t, basicOf("sp", "se", 1))
	})
}

// All callers share one answer. Of a refresh token that rotates the second use takes the whole family away (RFC 9700, section 4.14.2).
func TestARefreshTokenIsLeftOut(t *testing.T) {
	for name, row := range map[string]struct{ body, want string }{
		"in the middle": {`{"access_token":"x","refresh_token":"SECRET","expires_in":3600}`, `{"access_token":"x","expires_in":3600}`},
		"first":         {` { "refresh_token":"SECRET", "access_token" : "x",` + "\n" + `"expires_in":3600 } `, ` {"access_token" : "x","expires_in":3600 } `},
		"last":          {`{"access_token":"x","expires_in":3600,"refresh_token":"SECRET"}`, `{"access_token":"x","expires_in":3600}`},
		"twice":         {`{"refresh_token":"SECRET","refresh_token":{"x":"SECRET"},"expires_in":3600,"access_token":"x"}`, `{"expires_in":3600,"access_token":"x"}`},
		"escaped":       {`{"access_token":"x","refresh\u005ftoken":"SECRET","expires_in":3600}`, `{"access_token":"x","expires_in":3600}`},
		"not kept":      {`{"access_token":"x","refresh_token":"SECRET"}`, `{"access_token":"x"}`},
		"none":          {`{"access_token":"x" , "x":{"refresh_token":1},"expires_in":3600}`, `{"access_token":"x" , "x":{"refresh_token":1},"expires_in":3600}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				p.set(always(200, row.body))
				r := newReplica(t, p, nil)
				for i := range 3 {
					if a := r.ask(t, from("a", "s", "scope", fmt.Sprint(i/2))); string(a.Body) != row.want {
						t.Errorf("got %s\nwant %s", a.Body, row.want)
					}
				}
				want := 1
				if row.body == row.want {
					want = 0
				}
				if got := strings.Count(r.logs.String(), "refresh token"); got != want || strings.Contains(r.logs.String(), "SECRET") {
					t.Errorf("%d lines in the log, want %d: %s", got, want, r.logs.String())
				}
			})
		})
	}
	p := &provider{} // what is passed on is the caller's own
	p.set(always(200, `{"access_token":"x","refresh_token":"y"}`))
	if a := newReplica(t, p, nil).ask(t, refreshing(0, 1)); !strings.Contains(string(a.Body), `"refresh_token":"y"`) {
		t.Errorf("another grant: got %s, want it untouched", a.Body)
	}
}

// The header is not passed on, so nobody could read the body.
func TestAnAnswerInACodingThatNobodyAskedForIsNone(t *testing.T) {
	for coding, want := range map[string]error{"deflate": machine.ErrUnavailable, "br": machine.ErrUnavailable, "identity": nil, "": nil} {
		p := &provider{header: http.Header{"Content-Encoding": {coding}}}
		_, err := newReplica(t, p, nil).Token(t.Context(), nil, from("a", "s"))
		if (err == nil) != (want == nil) || want != nil && !strings.Contains(err.Error(), "Content-Encoding") {
			t.Errorf("%q: got %v, want %v", coding, err, want)
		}
	}
}
