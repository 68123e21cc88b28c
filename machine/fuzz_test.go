package machine_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"vestibule/machine"
)

// FuzzToken: whatever a caller sends, nothing panics, and a token from the cache was issued to the very credential that the caller
// brought, for the very scope. The provider writes into each token who asked for what.
func FuzzToken(f *testing.F) {
	p := &provider{}
	p.set(func(_ context.Context, c call) (int, string, error) {
		token, err := json.Marshal(fmt.Sprintf("%q %q %q", c.id, c.secret, c.form.Get("scope")))
		return 200, `{"access_token":` + string(token) + `,"expires_in":3600}`, err
	})
	r := newReplica(f, p, nil, func(c *machine.Config) {
		c.Rate, c.ClientRate = 1_000_000, 1_000_000
		c.Provider = machine.Credentials{ID: "upstream", Secret: func() []byte { return []byte("upstream-secret") }}
		c.Clients = []machine.Client{{ID: "named", Secret: func() []byte { return []byte("the key of the named one") }, Scopes: []string{"a"}}}
	})
	const grant = "grant_type=client_credentials"
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	f.Add(basic("a:b"), "", grant)
	f.Add(basic("a:b"), "scope=x+y", grant+"&scope=y+x&client_id=a")
	f.Add(basic("named:the key of the named one"), "", grant)
	f.Add(basic("named:the+key+of+the+named+one"), "", grant+"&scope=a")
	f.Add("", "", grant+"&client_id=a&client_secret=b&resource=x&resource=y")
	f.Add("", "", grant+"&client_id=named&client_secret=upstream-secret")
	f.Add("bAsIc  "+base64.StdEncoding.EncodeToString([]byte("a:b")), grant, "")
	f.Add("Bearer x", "%zz", "a=b;c")
	f.Add(basic(":"), "client_secret=x", "&&=&=x&grant_type=")
	f.Fuzz(func(t *testing.T, authorization, query, body string) {
		q := machine.Request{Authorization: authorization, Query: query, Body: []byte(body)}
		for range 2 {
			a, err := r.Token(t.Context(), nil, q)
			if err != nil || a.TTL == 0 {
				return
			}
			want, ok := expected(authorization, query, body)
			if got := tokenOf(t, a); !ok || got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
	})
}

// expected is what the provider would write into the token, by another reading of the request than the cache's.
func expected(authorization, query, body string) (string, bool) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return "", false
	}
	inQuery, err := url.ParseQuery(query)
	if err != nil {
		return "", false
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if id == "" {
		id = inQuery.Get("client_id")
	}
	scope := form.Get("scope")
	if scope == "" {
		scope = inQuery.Get("scope")
	}
	r := http.Request{Header: http.Header{"Authorization": {authorization}}}
	if user, password, ok := r.BasicAuth(); ok {
		id, secret = user, password
	} else if authorization != "" {
		return "", false // whoever brings what is no Basic gets nothing from the cache
	}
	if strings.Contains(id, "named") || strings.Contains(unescape(id), "named") {
		if secret != "the key of the named one" && unescape(secret) != "the key of the named one" {
			return "", false
		}
		id, secret, scope = "upstream", "upstream-secret", "a"
	}
	words := strings.Fields(scope)
	slices.Sort(words)
	return fmt.Sprintf("%q %q %q", id, secret, strings.Join(slices.Compact(words), " ")), true
}

func unescape(text string) string {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return text
	}
	return plain
}

// FuzzAnswer: whatever a provider answers passes through, and a token that is kept comes back as valid JSON that differs in the number
// alone.
func FuzzAnswer(f *testing.F) {
	p := &provider{}
	r := newReplica(f, p, nil, func(c *machine.Config) { c.Rate, c.ClientRate = 1_000_000, 1_000_000 })
	f.Add(200, `{"access_token":"x","expires_in":3600,"token_type":"Bearer"}`)
	f.Add(200, `{"expires_in" : "77" ,"access_token":"\u0022"}`)
	f.Add(200, `{"expires_in":1e3,"access_token":"x"}`)
	f.Add(200, `{"expires_in":00017,"access_token":"x"}`)
	f.Add(400, `{"error":"invalid_grant"}`)
	f.Add(400, `{"__type":"x#TooManyRequestsException"}`)
	f.Add(599, "\xff\x00")
	n := 0
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 499 || status/100 == 3 || status == 408 || status == 429 || strings.Contains(body, "Exception") || strings.Contains(body, "slow_down") ||
			strings.Contains(body, "unavailable") || strings.Contains(body, "server_error") {
			return // repeated, with pauses
		}
		p.set(always(status, body))
		n++
		q := from(fmt.Sprint("client", n), "s")
		a, err := r.Token(t.Context(), nil, q)
		if err != nil {
			if len(body) <= machine.MaxForm && !strings.Contains(body, "expires_in") {
				t.Fatalf("%d %q: %v", status, body, err)
			}
			return
		}
		if a.TTL == 0 {
			if a.Status != status || string(a.Body) != body {
				t.Fatalf("got %d %q, want %d %q", a.Status, a.Body, status, body)
			}
			return
		}
		var was, is map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &was); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(a.Body, &is); err != nil {
			t.Fatalf("%q became %q: %v", body, a.Body, err)
		}
		for name := range was {
			if name != "expires_in" && string(was[name]) != string(is[name]) {
				t.Fatalf("%s was %s, is %s", name, was[name], is[name])
			}
		}
		if len(was) != len(is) {
			t.Fatalf("%q became %q", body, a.Body)
		}
	})
}
