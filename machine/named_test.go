package machine_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/machine"
)

// oursIsBilling makes billing a client of ours, whose tokens are asked for as "ours".
func oursIsBilling(change ...func(*machine.Client)) func(*machine.Config) {
	return func(c *machine.Config) {
		client := machine.Client{ID: "billing", Secret: func() []byte { return []byte(keyOfBilling) }, Scopes: []string{"a"}}
		for _, f := range change {
			f(&client)
		}
		c.Provider = machine.Credentials{ID: "ours", Secret: func() []byte { return []byte("s") }}
		c.Clients = []machine.Client{client}
	}
}

const keyOfBilling = "sixteen bytes and more"

// RFC 6749, section 5.1, recommends expires_in and does not demand it. What goes out is a token also without.
func TestATokenWithoutALifeIsANamedClientsAllTheSame(t *testing.T) {
	for body, token := range map[string]bool{
		`{"access_token":"x"}`:                                           true,
		`{"access_token":"x","expires_in":0}`:                            true,
		`{"access_token":"x","expires_in":-1}`:                           true,
		`{"access_token":"x","expires_in":"1h"}`:                         true,
		`{"access\u005ftoken":"x"}`:                                      true,
		"access_token=x&token_type=bearer":                               true,
		`{"access_token":"","expires_in":0}`:                             false,
		`{"access_token":null}`:                                          false,
		`{"message":"there is no access_token for you","expires_in":60}`: false,
		`[]`: false,
	} {
		p := &provider{}
		p.set(always(200, body))
		r := newReplica(t, p, nil, oursIsBilling())
		a := r.ask(t, from("billing", keyOfBilling))
		want := machine.Answer{How: machine.HowError}
		if token {
			want = machine.Answer{How: machine.HowMiss, Client: "billing", Scope: "a"}
		}
		if a.How != want.How || a.Client != want.Client || a.Scope != want.Scope || a.Status != 200 || a.Origin != 200 || string(a.Body) != body || a.TTL != 0 {
			t.Errorf("%s: got %+v, want %s for %q with %q", body, a, want.How, want.Client, want.Scope)
		}
		if got := r.events.count("answer " + string(want.How)); got != 1 {
			t.Errorf("%s: counted %d times as %s, want once", body, got, want.How)
		}
		if warned := strings.Contains(r.logs.String(), "the provider gave no machine token"); warned == token {
			t.Errorf("%s: the log says that there was none: %v, want %v", body, warned, !token)
		}
	}
}

func TestEverybodyWhoIsGivenATokenWithoutALifeIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		p.set(after(time.Second, 200, `{"access_token":"x"}`))
		r := newReplica(t, p, nil, oursIsBilling())
		var mu sync.Mutex
		hows := map[machine.How]int{}
		var wait sync.WaitGroup
		for range 3 {
			wait.Go(func() {
				a, err := r.Token(t.Context(), nil, from("billing", keyOfBilling))
				if err != nil || a.Client != "billing" || (a.Origin == 200) != (a.How == machine.HowMiss) {
					t.Errorf("got %+v, %v, want a token of billing's", a, err)
				}
				mu.Lock()
				defer mu.Unlock()
				hows[a.How]++
			})
		}
		wait.Wait()
		if hows[machine.HowMiss] != 1 || hows[machine.HowCollapsed] != 2 || p.calls.Load() != 1 {
			t.Errorf("got %v for %d requests, want one miss that the others joined", hows, p.calls.Load())
		}
	})
}

// The key is changed where it is kept. Who was given the new one must not wait until it is read by itself.
func TestTheFirstUseOfANewKeyEndsTheOldOne(t *testing.T) {
	const fresh = "the key that came after"
	held, stored, reads, failure := keyOfBilling, keyOfBilling, 0, error(nil)
	p := &provider{}
	r := newReplica(t, p, nil, oursIsBilling(func(c *machine.Client) {
		c.Secret = func() []byte { return []byte(held) }
		c.Refresh = func(context.Context) error {
			if reads++; failure == nil {
				held = stored
			}
			return failure
		}
	}))
	token := r.token(t, from("billing", keyOfBilling))
	stored = fresh
	for range 2 {
		if got := r.token(t, from("billing", keyOfBilling)); got != token || reads != 0 {
			t.Fatalf("got %s after %d reads, want the token and none while nobody brings another key", got, reads)
		}
	}
	failure = errors.New("cannot be read")
	r.fails(t, from("billing", fresh), machine.ErrClient)
	failure = nil
	if got := r.token(t, from("billing", fresh)); got == "" || reads != 2 {
		t.Errorf("got %q after %d reads, want a token after one more", got, reads)
	}
	r.fails(t, from("billing", keyOfBilling), machine.ErrClient)
	if reads != 3 {
		t.Errorf("%d reads, want one for each wrong key", reads)
	}
	r.fails(t, machine.Request{Body: []byte("grant_type=client_credentials&client_id=billing")}, machine.ErrClient)
	if reads != 3 {
		t.Error("a request without a key had the key read")
	}
}

// What we read strictly the provider may read leniently. A name of ours, and a key of ours with it, must not get there.
func TestNoReadingOfARequestTakesANameOfOursToTheProvider(t *testing.T) {
	const grant = "grant_type=client_credentials"
	plain := "billing:" + keyOfBilling + "+" // of a length that base64 pads
	padded := base64.StdEncoding.EncodeToString([]byte(plain))
	jwt := func(claims string) string {
		return "&client_assertion_type=x&client_assertion=e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}
	stranger := "Basic " + base64.StdEncoding.EncodeToString([]byte("stranger:"+keyOfBilling))
	for name, q := range map[string]machine.Request{
		"two spaces":                  {Authorization: "Basic  " + padded, Body: []byte(grant)},
		"a tab":                       {Authorization: "basic\t" + padded, Body: []byte(grant)},
		"no padding":                  {Authorization: "Basic " + strings.TrimRight(padded, "="), Body: []byte(grant)},
		"more padding":                {Authorization: "Basic " + padded + "==", Body: []byte(grant)},
		"the other alphabet":          {Authorization: "Basic " + base64.URLEncoding.EncodeToString([]byte("billing:???"+keyOfBilling)), Body: []byte(grant)},
		"a lone digit":                {Authorization: "Basic " + strings.TrimRight(padded, "=") + "AAA", Body: []byte(grant)},
		"something between":           {Authorization: `Basic "` + padded[:5] + " " + padded[5:] + `", x=y`, Body: []byte(grant)},
		"escaped":                     {Authorization: "Basic  " + base64.StdEncoding.EncodeToString([]byte("bill%69ng:x")), Body: []byte(grant)},
		"another grant":               {Authorization: "Basic  " + padded, Body: []byte("grant_type=refresh_token&refresh_token=x")},
		"an assertion":                {Body: []byte(grant + jwt(`{"sub":"billing","iss":"billing"}`))},
		"an assertion's subject":      {Body: []byte(grant + jwt(`{"sub":"billing","iss":7}`))},
		"an assertion's issuer":       {Body: []byte(grant + jwt(`{"iss":"billing"}`))},
		"an assertion in an exchange": {Body: []byte("grant_type=refresh_token" + jwt(`{"sub":"billing"}`))},
		"one beside another name":     {Authorization: stranger, Body: []byte(grant + jwt(`{"sub":"billing"}`))},
		"a form read in two ways":     {Body: []byte(grant + "&client_id=billing&client_secret=100%")},
		"the other of the two":        {Body: []byte(grant + "&x=;client_id=billing")},
	} {
		p := &provider{}
		r := newReplica(t, p, nil, oursIsBilling())
		a, err := r.Token(t.Context(), nil, q)
		var denied *machine.Denied
		if !errors.Is(err, machine.ErrClient) || !errors.As(err, &denied) || denied.Client != "billing" || p.calls.Load() != 0 {
			t.Errorf("%s: got %d %s, %v, and %d requests to the provider, want a refusal in billing's name", name, a.Status, a.Body, err, p.calls.Load())
		}
	}
	p := &provider{} // who merely looks like one of ours is the provider's to judge
	r := newReplica(t, p, nil, oursIsBilling())
	for i, q := range []machine.Request{
		{Authorization: "Basic  " + base64.StdEncoding.EncodeToString([]byte("billings:x")), Body: []byte(grant)},
		{Authorization: "Bearer " + padded, Body: []byte(grant)},
		{Body: []byte(grant + jwt(`{"sub":"another","aud":"billing"}`))},
		{Body: []byte(grant + "&client_assertion=billing")},
	} {
		if a := r.ask(t, q); a.How != machine.HowPass || p.calls.Load() != int64(i+1) {
			t.Errorf("%+v: got %s after %d requests, want it passed on", q, a.How, p.calls.Load())
		}
	}
}

func TestAParameterThatIsNotANamedClientsOwnIsRefusedInItsName(t *testing.T) {
	p := &provider{}
	r := newReplica(t, p, nil, oursIsBilling(func(c *machine.Client) { c.Params = map[string]string{"resource": "https://own.example"} }))
	broken := from("billing", keyOfBilling)
	broken.Body = append(broken.Body, "&resource=a;b"...)
	for name, q := range map[string]machine.Request{
		"an audience":        from("billing", keyOfBilling, "audience", "https://other.example"),
		"another resource":   from("billing", keyOfBilling, "resource", "https://other.example"),
		"its own, and more":  from("billing", keyOfBilling, "resource", "https://own.example", "resource", "https://other.example"),
		"one with two sides": broken,
	} {
		_, err := r.Token(t.Context(), nil, q)
		var denied *machine.Denied
		if !errors.As(err, &denied) || denied.Client != "billing" || !errors.Is(denied.Kind, machine.ErrParameter) || !errors.Is(err, machine.ErrRequest) {
			t.Errorf("%s: got %v, want a refusal in billing's name that is a malformed request's, too", name, err)
		}
		if r.Refused(err) != machine.HowDenied {
			t.Errorf("%s: not counted as denied", name)
		}
	}
	if got := p.calls.Load(); got != 0 {
		t.Errorf("the provider was asked %d times, want never", got)
	}
}
