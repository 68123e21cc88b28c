package machine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/machine"
)

func TestA401DropsALivingTokenOnlyIfATokenEndpointSaysIt(t *testing.T) {
	challenge := http.Header{"Www-Authenticate": {`Basic realm="x"`}}
	for name, row := range map[string]struct {
		header http.Header
		body   string
		living bool
	}{
		"a proxy's page":            {nil, "<h1>proxy</h1>", true},
		"text":                      {nil, "unauthorized", true},
		"without a word":            {nil, "", false},
		"white space":               {nil, "\r\n", false},
		"JSON of another kind":      {nil, `{"message":"Unauthorized"}`, false},
		"an OAuth error":            {nil, `{"error":"invalid_client"}`, false},
		"a page with the challenge": {challenge, "<h1>who are you?</h1>", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				r := newReplica(t, p, nil)
				q := from("a", "s")
				old := r.token(t, q)
				p.mu.Lock()
				p.header = row.header
				p.mu.Unlock()
				p.set(always(401, row.body))
				time.Sleep(50 * time.Minute)
				r.token(t, q) // while it is renewed behind
				synctest.Wait()
				before := p.calls.Load()
				a := r.ask(t, q)
				if row.living {
					if tokenOf(t, a) != old || p.calls.Load() != before {
						t.Errorf("got %s after %d requests more, want the living token at once", a.Body, p.calls.Load()-before)
					}
					other := from("b", "s")
					for range 2 {
						if a := r.ask(t, other); a.Status != 401 || string(a.Body) != row.body || a.How != machine.HowError {
							t.Errorf("without a token: got %d %s %s, want the answer as it came, not one that was kept", a.Status, a.Body, a.How)
						}
					}
					return
				}
				if a.Status != 401 || a.How != machine.HowNegative || string(a.Body) != row.body {
					t.Errorf("got %d %s %s, want the refusal, remembered", a.Status, a.Body, a.How)
				}
			})
		})
	}
}

// A 401 is about credentials that a named client has never seen, whoever sent it.
func TestA401OfSomethingInBetweenNeverReachesANamedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		const key = "sixteen bytes and more"
		r := newReplica(t, p, nil, func(c *machine.Config) {
			c.Provider = machine.Credentials{ID: "ours", Secret: func() []byte { return []byte("s") }}
			c.Clients = []machine.Client{{ID: "billing", Secret: func() []byte { return []byte(key) }}}
		})
		old := r.token(t, from("billing", key))
		p.set(always(401, "<h1>proxy</h1>"))
		time.Sleep(50 * time.Minute)
		r.token(t, from("billing", key))
		synctest.Wait()
		if got := r.token(t, from("billing", key)); got != old {
			t.Errorf("got %s, want the living token", got)
		}
		time.Sleep(11 * time.Minute)
		r.fails(t, from("billing", key), machine.ErrUnavailable)
	})
}

func TestAStatusThatIsNoAnswerIsAnOutage(t *testing.T) {
	for _, status := range []int{0, 99, 101, 199, 302, 304, 399, 600, 999} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				r := newReplica(t, p, nil)
				q := from("a", "s")
				old := r.token(t, q)
				p.set(always(status, `{"error":"invalid_client"}`))
				r.fails(t, from("b", "s"), machine.ErrUnavailable)
				r.fails(t, machine.Request{Body: []byte("grant_type=refresh_token&refresh_token=x")}, machine.ErrUnavailable)
				time.Sleep(59*time.Minute + 30*time.Second)
				if a := r.ask(t, q); tokenOf(t, a) != old || a.How != machine.HowStale {
					t.Errorf("got %s %s, want the living token, marked", a.How, a.Body)
				}
			})
		})
	}
}

// endpoint keeps what it is sent, letter by letter.
type endpoint struct{ query, body string }

// RoundTrip implements http.RoundTripper.
func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	e.query, e.body = r.URL.RawQuery, string(body)
	return &http.Response{StatusCode: 400, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(`{"error":"invalid_grant"}`)))}, err
}

func TestOfOtherGrantsTheGrantAloneIsRead(t *testing.T) {
	e := &endpoint{}
	r := newReplica(t, nil, nil, func(c *machine.Config) {
		c.Transport = e
		c.Provider = machine.Credentials{ID: "ours", Secret: func() []byte { return []byte("s") }}
		c.Clients = []machine.Client{{ID: "billing", Secret: func() []byte { return []byte("sixteen bytes and more") }}}
	})
	const basic, grant = "Basic YTpi", "grant_type=client_credentials"
	for _, row := range []struct {
		authorization, query, body string
		want                       error // nil: it goes on as it came
	}{
		{"", "", "grant_type=password&username=a&password=b;c", nil},
		{"", "", "grant_type=authorization_code&code=%zz", nil},
		{"", "", "grant_type=authorization_code&code=100%", nil},
		{"", "redirect_uri=x", "grant_type=authorization_code&code=x&redirect_uri=y", nil},
		{"", "grant_type=refresh_token", "grant_type=refresh_token&refresh_token=x", nil},
		{"", "x=;", "grant_type=refresh_token&refresh_token=x&refresh_token=y", nil},
		{basic, "", "grant_type=refresh_token&client_id=a&client_secret=b", nil},
		{basic, "client_secret=", "grant_type=refresh_token&client_id=other", nil},
		{basic, "", grant + "&x=a;b", nil}, // forms that are read in two ways are the provider's, whatever the grant
		{basic, "", grant + "&x=%zz", nil},
		{basic, "", grant + "&x=100%&y=b&y=c", nil},
		{basic, "x=%", grant, nil},
		{"", "", grant + "&client_id=a&client_secret=b;c", nil},
		{basic, "", grant + "&x=a;client_secret", nil},
		{basic, "client_secret=x&y=%zz", grant, machine.ErrRequest},
		{basic, "", grant + "&x=a;grant_type=password", machine.ErrRequest},
		{basic, "", grant + "&x=%" + strings.Repeat("&a=b", 200), machine.ErrRequest},
		{basic, "scope=a", grant + "&scope=b", machine.ErrRequest},
		{basic, "grant_type=refresh_token", grant, machine.ErrRequest},
		{basic, "", "grant_type=refresh_token&" + grant, machine.ErrRequest},
		{basic, "", "grant_type=refresh_token;" + grant, machine.ErrRequest},
		{basic, "", "grant_type=refresh_token&x=y;" + grant, machine.ErrRequest},
		{basic, "", "grant%5ftype=refresh_token&" + grant, machine.ErrRequest},
		{basic, "", "grant_type=refresh_token%", machine.ErrRequest},
		{basic, "", "grant_type=;x", machine.ErrRequest},
		{basic, "client_secret=x&%zz", "grant_type=refresh_token", machine.ErrRequest},
		{"", "", "grant_type=refresh_token&refresh_token=%zz&client_id=billing", machine.ErrClient},
		{"", "", "grant_type=refresh_token&client_id=other&client_id=bill%69ng", machine.ErrClient},
		{"", "client_id=billing", "grant_type=refresh_token&client_id=other", machine.ErrClient},
		{"", "", "grant_type=refresh_token&x=;client_id=billing&client_secret=sixteen+bytes+and+more", machine.ErrGrant},
	} {
		*e = endpoint{}
		a, err := r.Token(t.Context(), nil, machine.Request{Authorization: row.authorization, Query: row.query, Body: []byte(row.body)})
		passed := err == nil && a.How == machine.HowPass && a.Status == 400 && *e == endpoint{row.query, row.body}
		if !errors.Is(err, row.want) || passed != (row.want == nil) {
			t.Errorf("?%s %s: got %v, and the provider %+v, want %v", row.query, row.body, err, *e, row.want)
		}
	}
}

// The hint for the audit names whose name was used.
func TestTheRefusalOfANamedClientSaysWhose(t *testing.T) {
	r := newReplica(t, &provider{}, nil, func(c *machine.Config) {
		c.Provider = machine.Credentials{ID: "ours", Secret: func() []byte { return []byte("s") }}
		c.Clients = []machine.Client{{ID: "billing", Secret: func() []byte { return []byte("sixteen bytes and more") }, Scopes: []string{"a"}}}
	})
	for want, q := range map[error]machine.Request{
		machine.ErrClient: from("billing", "another"), machine.ErrScope: from("billing", "sixteen bytes and more", "scope", "b"),
	} {
		_, err := r.Token(context.Background(), nil, q)
		var denied *machine.Denied
		if !errors.As(err, &denied) || !errors.Is(err, want) || denied.Client != "billing" {
			t.Errorf("got %v, want %v of billing", err, want)
		}
	}
}
