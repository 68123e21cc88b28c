package idp_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/idp"
)

const wellKnown = "/.well-known/openid-configuration"

var request = idp.AuthRequest{State: "state-1", Nonce: nonce, Verifier: verifier}

func TestNewNamesTheFieldThatIsMissingOrWrong(t *testing.T) {
	for want, change := range map[string]func(*idp.Config){
		"no Issuer":                    func(c *idp.Config) { c.Issuer = "" },
		"no ClientID":                  func(c *idp.Config) { c.ClientID = "" },
		"no ClientSecret":              func(c *idp.Config) { c.ClientSecret, c.ClientAuth = nil, "client_secret_basic" },
		"unknown ClientAuth":           func(c *idp.Config) { c.ClientAuth = "private_key_jwt" },
		"no RedirectURL":               func(c *idp.Config) { c.RedirectURL = "" },
		"no LogoutRedirectURL":         func(c *idp.Config) { c.LogoutRedirectURL = "" },
		"unknown Logout":               func(c *idp.Config) { c.Logout = "yes" },
		"no openid in Scopes":          func(c *idp.Config) { c.Scopes = []string{"email"} },
		"Issuer is http://id":          func(c *idp.Config) { c.Issuer = "http://id.example.com" },
		"Issuer carries a user name":   func(c *idp.Config) { c.Issuer = "https://a:b@id.example.com" },
		"Issuer carries a fragment":    func(c *idp.Config) { c.Issuer = "https://id.example.com/#" },
		"Issuer has a query":           func(c *idp.Config) { c.Issuer = "https://id.example.com/?a=b" },
		"Issuer is not an absolute":    func(c *idp.Config) { c.Issuer = "id.example.com" },
		"Endpoints.Token is http://id": func(c *idp.Config) { c.Endpoints.Token = "http://id.example.com/t" },
		`"state" may not be`:           func(c *idp.Config) { c.AuthorizeParams = map[string]string{"state": "x"} },
		`"nonce" may not be`:           func(c *idp.Config) { c.AuthorizeParams = map[string]string{"nonce": "x"} },
		`"code_challenge" may not be`:  func(c *idp.Config) { c.AuthorizeParams = map[string]string{"code_challenge": "x"} },
		`"redirect_uri" may not be`:    func(c *idp.Config) { c.AuthorizeParams = map[string]string{"redirect_uri": "x"} },
		`"response_type" may not be`:   func(c *idp.Config) { c.AuthorizeParams = map[string]string{"response_type": "x"} },
		`"client_id" may not be`:       func(c *idp.Config) { c.AuthorizeParams = map[string]string{"client_id": "x"} },
		`"request_uri" may not be`:     func(c *idp.Config) { c.AuthorizeParams = map[string]string{"request_uri": "x"} },
	} {
		cfg := config(newFake())
		change(&cfg)
		if _, err := idp.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestNewAcceptsHTTPOnLoopbackAndAPublicClient(t *testing.T) {
	for _, iss := range []string{"http://localhost:9000", "http://127.0.0.1:9000", "http://[::1]:9000/pool", "http://id.localhost:9000"} {
		_, err := idp.New(idp.Config{Issuer: iss, ClientID: clientID, RedirectURL: "http://localhost:8080/cb", Logout: "none"})
		if err != nil {
			t.Errorf("%s: %v", iss, err)
		}
	}
}

// Check is what an operator sees.
func TestCheckSaysWhatIsWrongWithAProvider(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*fake)
		kind   error
		says   string
	}{
		"another issuer":            {func(f *fake) { f.doc["issuer"] = issuer + "/" }, idp.ErrMisconfigured, `calls itself "https://id.example.com/"`},
		"no issuer":                 {func(f *fake) { delete(f.doc, "issuer") }, idp.ErrMisconfigured, `calls itself ""`},
		"no authorization endpoint": {func(f *fake) { delete(f.doc, "authorization_endpoint") }, idp.ErrMisconfigured, "no authorization_endpoint"},
		"no token endpoint":         {func(f *fake) { delete(f.doc, "token_endpoint") }, idp.ErrMisconfigured, "no token_endpoint"},
		"no keys":                   {func(f *fake) { delete(f.doc, "jwks_uri") }, idp.ErrMisconfigured, "no jwks_uri"},
		"http on a public host":     {func(f *fake) { f.doc["token_endpoint"] = "http://id.example.com/token" }, idp.ErrMisconfigured, "token_endpoint is http://id.example.com"},
		"an odd scheme":             {func(f *fake) { f.doc["authorization_endpoint"] = "javascript://id.example.com/%0aalert(1)" }, idp.ErrMisconfigured, "want https"},
		"a user name":               {func(f *fake) { f.doc["token_endpoint"] = "https://u:p@id.example.com/token" }, idp.ErrMisconfigured, "carries a user name"},
		"a fragment":                {func(f *fake) { f.doc["end_session_endpoint"] = "https://id.example.com/#x" }, idp.ErrMisconfigured, "carries a fragment"},
		"a relative URL":            {func(f *fake) { f.doc["revocation_endpoint"] = "/revoke" }, idp.ErrMisconfigured, "not an absolute URL"},
		"no URL":                    {func(f *fake) { f.doc["jwks_uri"] = "https://id.example.com/%zz" }, idp.ErrMisconfigured, "not a URL"},
		"an endless URL":            {func(f *fake) { f.doc["jwks_uri"] = "https://id.example.com/" + strings.Repeat("x", 2100) }, idp.ErrMisconfigured, "longer than"},
		"HMAC only":                 {func(f *fake) { f.doc["id_token_signing_alg_values_supported"] = []string{"HS256", "none"} }, idp.ErrMisconfigured, "no asymmetric algorithm"},
		"fields of the wrong type":  {func(f *fake) { f.doc["token_endpoint"] = 7 }, idp.ErrMalformed, "not the JSON"},
		"a page":                    {func(f *fake) { f.handle[wellKnown] = status(200, "{}", "Content-Type", "text/html") }, idp.ErrMalformed, "HTML"},
		"an endless document":       {func(f *fake) { f.handle[wellKnown] = status(200, strings.Repeat(" ", 1<<20)+"{}") }, idp.ErrMalformed, "too large"},
		"not found":                 {func(f *fake) { f.handle[wellKnown] = status(404, "") }, idp.ErrMisconfigured, "(404): https://id.example.com" + wellKnown},
		"a redirect":                {func(f *fake) { f.handle[wellKnown] = status(302, "", "Location", issuer+"/x") }, idp.ErrMisconfigured, "(302)"},
		"no content":                {func(f *fake) { f.handle[wellKnown] = status(204, "") }, idp.ErrMalformed, "(204)"},
		"down":                      {func(f *fake) { f.handle[wellKnown] = status(500, "") }, idp.ErrUnavailable, "(500)"},
		"keys not found":            {func(f *fake) { f.handle["/keys"] = status(404, "") }, idp.ErrMisconfigured, "keys: the provider rejects our configuration (404): https://id.example.com/keys"},
		"no usable key":             {func(f *fake) { f.keys = nil }, idp.ErrMalformed, "no usable signing key"},
		"keys of nonsense":          {func(f *fake) { f.handle["/keys"] = status(200, "7") }, idp.ErrMalformed, "not the JSON"},
	} {
		f := newFake()
		c.change(f)
		p := open(t, f, func(cfg *idp.Config) { cfg.Issuer = issuer })
		err := p.Check(context.Background())
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v saying %q", name, err, c.kind, c.says)
		}
		if p.Ready() == nil {
			t.Errorf("%s: Check made the provider ready", name)
		}
	}
	if err := open(t, newFake()).Check(context.Background()); err != nil {
		t.Errorf("a good provider: %v", err)
	}
}

func TestCheckKnowsThatAUserPoolNeedsADomain(t *testing.T) {
	f := newCognito()
	delete(f.doc, "authorization_endpoint")
	if err := open(t, f).Check(context.Background()); err == nil || !strings.Contains(err.Error(), "given a domain") {
		t.Errorf("got %v", err)
	}
}

func TestCheckMissesAnEndSessionEndpointThatIsDemanded(t *testing.T) {
	f := newFake()
	delete(f.doc, "end_session_endpoint")
	p := open(t, f, func(c *idp.Config) { c.Logout = "oidc" })
	if err := p.Check(context.Background()); !errors.Is(err, idp.ErrMisconfigured) {
		t.Errorf("got %v, want ErrMisconfigured", err)
	}
}

func TestRunTriesUntilTheProviderIsThereAndThenRenewsHourly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.on(wellKnown, status(503, ""))
		p := open(t, f)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Run(ctx); close(done) }()
		pass(time.Second)
		if got := f.count(wellKnown); got < 3 || got > 6 {
			t.Errorf("%d tries in the first second, want 3 to 6", got)
		}
		pass(5 * time.Minute)
		if got := f.count(wellKnown); got < 20 || got > 40 {
			t.Errorf("%d tries in five minutes, want one about every 15 s", got)
		}
		if !errors.Is(p.Ready(), idp.ErrUnavailable) {
			t.Errorf("ready while down: %v", p.Ready())
		}
		f.on(wellKnown, nil)
		pass(20 * time.Second)
		if err := p.Ready(); err != nil {
			t.Errorf("not ready when up: %v", err)
		}
		before := f.count("/keys")
		f.on(wellKnown, status(500, "")) // what is held stays, and the keys are renewed all the same
		pass(80 * time.Minute)
		if err := p.Ready(); err != nil || f.count("/keys") == before {
			t.Errorf("after an hour: %v, %d key fetches", err, f.count("/keys")-before)
		}
		cancel()
		<-done
	})
}

func TestAuthURLWaitsForADiscoveryThatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.on(wellKnown, func(w http.ResponseWriter, r *http.Request) {
			if f.count(wellKnown) < 3 {
				status(503, "")(w, r)
				return
			}
			f.serve(w, r)
		})
		p := open(t, f)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go p.Run(ctx)
		synctest.Wait()
		if _, err := p.AuthURL(ctx, request); err != nil {
			t.Errorf("got %v", err)
		}
		cancel()
		synctest.Wait()
	})
}

func TestAuthURLWithoutAProviderFailsSoonAndAsksSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.on(wellKnown, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		p := open(t, f)
		start := time.Now()
		if _, err := p.AuthURL(t.Context(), request); !errors.Is(err, idp.ErrUnavailable) || time.Since(start) != 3*time.Second {
			t.Errorf("stalled: got %v after %v, want ErrUnavailable after 3s", err, time.Since(start))
		}
		pass(time.Minute)
		f.on(wellKnown, status(500, ""))
		before := f.count(wellKnown)
		for range 40 {
			if _, err := p.AuthURL(t.Context(), request); !errors.Is(err, idp.ErrUnavailable) || errors.Is(err, idp.ErrMisconfigured) {
				t.Fatalf("down: got %v", err)
			}
			pass(time.Second / 4)
		}
		if got := f.count(wellKnown) - before; got != 2 {
			t.Errorf("%d discoveries in ten seconds, want 2", got)
		}
	})
}

func TestExplicitEndpointsNeedNoDiscovery(t *testing.T) {
	f := newFake().answers(idToken(t, nil))
	f.on(wellKnown, status(404, ""))
	p := open(t, f, func(c *idp.Config) {
		c.Endpoints = idp.Endpoints{Authorization: issuer + "/authorize", Token: issuer + "/token", JWKS: issuer + "/keys"}
	})
	if _, err := p.AuthURL(context.Background(), request); err != nil {
		t.Error(err)
	}
	if _, err := exchange(p); err != nil {
		t.Error(err)
	}
	if err := p.Check(context.Background()); err != nil || f.count(wellKnown) != 0 {
		t.Errorf("check: %v after %d discoveries", err, f.count(wellKnown))
	}
}

func TestOneExplicitEndpointOverridesTheDiscoveredOne(t *testing.T) {
	f := newFake().answers("")
	f.on("/other/token", f.serve)
	p := open(t, f, func(c *idp.Config) { c.Endpoints.Token = issuer + "/other/token" })
	if _, err := refresh(p); err != nil || f.count("/other/token") != 1 || f.count("/token") != 0 {
		t.Errorf("got %v, %d and %d requests", err, f.count("/other/token"), f.count("/token"))
	}
}

// serve starts all the same, and its sign-out would leave people signed in at the provider without a word.
func TestEveryDocumentWithoutTheLogoutThatIsDemandedIsWarnedOf(t *testing.T) {
	const warning, reached = "logout is oidc but the provider has no end_session_endpoint", `"msg":"provider reached"`
	for _, c := range []struct {
		logout string
		lacks  bool
		warns  bool
	}{{"oidc", true, true}, {"oidc", false, false}, {"auto", true, false}, {"none", true, false}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			if c.lacks {
				delete(f.doc, "end_session_endpoint")
			}
			p, log := logged(t, f, func(cfg *idp.Config) { cfg.Logout = c.logout })
			ctx, cancel := context.WithCancel(t.Context())
			go p.Run(ctx)
			pass(5 * time.Hour)
			cancel()
			synctest.Wait()
			got, times := strings.Count(log.String(), warning), strings.Count(log.String(), reached)
			if times < 4 || c.warns && got != times || !c.warns && got != 0 {
				t.Errorf("%+v: reached %d times, warned %d times", c, times, got)
			}
			if c.warns && (!strings.Contains(log.String(), `"level":"WARN"`) || !strings.Contains(log.String(), "provider.end_session_endpoint")) {
				t.Errorf("log %s, want a warning with the cure", log)
			}
		})
	}
}
