package handlers_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"vestibule/machine"
)

const ownKey = "a-key-of-the-service-itself"

// named is a server with a client of its own, which may ask for one scope.
func named(t *testing.T, change func(*options, *machine.Client)) *server {
	t.Helper()
	return newServer(t, func(o *options) {
		withMachines(o)
		o.dev.ClientID, o.dev.ClientSecret = "cognitoclient", "cognitosecret"
		client := machine.Client{ID: "billing", Secret: func() []byte { return []byte(ownKey) }, Scopes: []string{"vestibule/read"}}
		o.machine.Provider = machine.Credentials{ID: "cognitoclient", Secret: func() []byte { return []byte("cognitosecret") }}
		if change != nil {
			change(o, &client)
		}
		o.machine.Clients = []machine.Client{client}
	})
}

func TestANamedClientGetsItsScopesWithItsOwnKeyAndNoMore(t *testing.T) {
	t.Parallel()
	s := named(t, nil)
	c := s.service(t)
	c.id, c.secret = "billing", ownKey
	for i, params := range [][]string{nil, {"scope", "vestibule/read"}, nil} {
		a := c.ask("", params...)
		token := a.machineToken(t).AccessToken
		if scope := claimsOf(t, token)["scope"]; scope != "vestibule/read" {
			t.Errorf("scope %v, want its own", scope)
		}
		line := fmt.Sprintf(`msg="machine token issued" client=billing scope=vestibule/read cache=%s expires_in=3600`, []string{"miss", "hit", "hit"}[i])
		if log := s.logs.String(); !strings.Contains(log, line) || strings.Contains(log, token) || strings.Contains(log, ownKey) || strings.Contains(log, "cognitosecret") {
			t.Errorf("the audit lacks %q, or tells too much:\n%s", line, log)
		}
	}
	s.wantsAsked(t, 1)
	c.inForm = true
	c.ask("").machineToken(t)
	c.ask("", "scope", "vestibule/write").wants(t, http.StatusBadRequest, `{"error":"invalid_scope"}`)
	c.ask("", "resource", "https://x.example").wants(t, http.StatusBadRequest, `{"error":"invalid_request"}`)
	c.post(machinePath, url.Values{"grant_type": {"refresh_token"}, "client_id": {"billing"}, "client_secret": {ownKey}}).wants(t, http.StatusBadRequest, `{"error":"unauthorized_client"}`)
	for _, inForm := range []bool{true, false} {
		c.inForm, c.secret = inForm, "cognitosecret"
		a := c.ask("")
		a.wants(t, http.StatusUnauthorized, `{"error":"invalid_client"}`)
		if got, want := a.header.Get("WWW-Authenticate"), `Basic realm="vestibule"`; got != want {
			t.Errorf("WWW-Authenticate: got %q, want %q", got, want)
		}
	}
	c.post(machinePath, url.Values{"grant_type": {"client_credentials"}, "client_id": {"billing"}}).wants(t, http.StatusUnauthorized, `{"error":"invalid_client"}`)
	for _, credential := range []string{"billing:", "billing", "bill%69ng:"} { // a name of ours without its key is nothing to ask the provider about
		basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(credential))
		c.post(machinePath, url.Values{"grant_type": {"client_credentials"}}, basic).wants(t, http.StatusUnauthorized, `{"error":"invalid_client"}`)
	}
	s.wantsAsked(t, 1) // the same token for both ways of the key: it is the same client
}

func TestANamedClientsOldKeyOpensNothingOnceItIsReplaced(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	key := ownKey
	s := named(t, func(_ *options, c *machine.Client) {
		c.Secret = func() []byte { mu.Lock(); defer mu.Unlock(); return []byte(key) }
	})
	c := s.service(t)
	c.id, c.secret = "billing", ownKey
	c.ask("").machineToken(t)
	c.ask("").machineToken(t)
	mu.Lock()
	key = "a-new-key-of-the-service"
	mu.Unlock()
	c.ask("").wants(t, http.StatusUnauthorized, `{"error":"invalid_client"}`)
	c.secret = "a-new-key-of-the-service"
	c.ask("").machineToken(t)
}

func TestOurOwnCredentialsAreReadAfreshAndTheirTroubleIsNotTheClients(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	secret, fetched := "outdated", 0
	s := named(t, func(o *options, _ *machine.Client) {
		o.machine.Provider.Secret = func() []byte { mu.Lock(); defer mu.Unlock(); return []byte(secret) }
		o.machine.Provider.Refresh = func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			if fetched++; fetched > 1 {
				secret = "cognitosecret"
			}
			return nil
		}
	})
	c := s.service(t)
	c.id, c.secret = "billing", ownKey
	c.ask("").wants(t, http.StatusServiceUnavailable, `{"error":"temporarily_unavailable"}`)
	c.ask("").machineToken(t)
	if log := s.logs.String(); !strings.Contains(log, "the provider refuses the credentials that we ask with") || strings.Contains(log, "outdated") {
		t.Error("the log does not tell the operator, or tells too much")
	}
}

func TestANamedClientsUpstreamAndParametersAreItsOwn(t *testing.T) {
	t.Parallel()
	s := named(t, func(o *options, c *machine.Client) {
		c.Scopes, c.Params = nil, map[string]string{"resource": "https://api.example"}
		c.Upstream = machine.Credentials{ID: "cognitoclient", Secret: func() []byte { return []byte("cognitosecret") }, Post: true}
		o.machine.Provider = machine.Credentials{}
	})
	c := s.service(t)
	c.id, c.secret = "billing", ownKey
	claims := claimsOf(t, c.ask("", "scope", "vestibule/write").machineToken(t).AccessToken)
	if claims["scope"] != "vestibule/write" || claims["aud"] != "https://api.example" || claims["client_id"] != "cognitoclient" {
		t.Errorf("got %v, want the scope it asked for, and the audience that was set for it", claims)
	}
	c.ask("", "scope", "vestibule/write", "resource", "https://api.example").machineToken(t) // saying the same is no fault
	s.wantsAsked(t, 1)
}

// What the audit does not tell cannot be found later: a token whose life the provider does not say is one, too.
func TestTheAuditTellsOfTokensWithoutALifeAndOfParametersThatWereRefused(t *testing.T) {
	t.Parallel()
	s := named(t, func(o *options, _ *machine.Client) {
		own := o.machine.Provider
		raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"+`{"access_token":"x"}`)(o)
		o.machine.Provider = own
	})
	c := s.service(t)
	c.id, c.secret = "billing", ownKey
	a := c.ask("")
	a.wants(t, http.StatusOK, `{"access_token":"x"}`)
	if got, want := a.cache(), "vestibule; fwd=miss; fwd-status=200"; got != want {
		t.Errorf("Cache-Status: got %q, want %q", got, want)
	}
	c.ask("", "audience", "https://x.example").wants(t, http.StatusBadRequest, `{"error":"invalid_request"}`)
	c.post(machinePath, url.Values{"grant_type": {"client_credentials"}}, "Authorization: Basic  "+base64.StdEncoding.EncodeToString([]byte("billing:"+ownKey))).
		wants(t, http.StatusUnauthorized, `{"error":"invalid_client"}`)
	log := s.logs.String()
	for _, line := range []string{
		`msg="machine token issued" client=billing scope=vestibule/read cache=miss address=`,
		`msg="machine token denied" client=billing why=parameter`,
		`msg="machine token denied" client=billing why=secret`,
	} {
		if strings.Count(log, line) != 1 {
			t.Errorf("the audit lacks %q:\n%s", line, log)
		}
	}
	if strings.Contains(log, "the provider gave no machine token") {
		t.Error("the log says that there was none")
	}
}

// A caller with the provider's own credentials is served beside named clients.
func TestWhoIsNotNamedIsJudgedByTheProvider(t *testing.T) {
	t.Parallel()
	s := named(t, nil)
	s.service(t).ask("", "scope", "vestibule/write").machineToken(t)
	stranger := s.service(t)
	stranger.id = "unknown"
	stranger.ask("").wants(t, http.StatusBadRequest, `{"error":"invalid_client"}`)
	if strings.Contains(s.logs.String(), "machine token issued") {
		t.Error("an audit line names nobody")
	}
}
