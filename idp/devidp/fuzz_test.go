package devidp_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"vestibule/idp/devidp"
)

// fuzzed starts a provider for a fuzz target.
func fuzzed(f *testing.F) *devidp.Server {
	f.Helper()
	s, err := devidp.Start(devidp.Config{RedirectURIs: []string{callback}, ClientID: "fuzzclient", ClientSecret: "s", Keys: keys})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	return s
}

// Whatever the query says, the browser goes to a page of the provider or to the registered URI, nowhere else.
func FuzzAuthorize(f *testing.F) {
	s := fuzzed(f)
	good := url.Values{"client_id": {"fuzzclient"}, "redirect_uri": {callback}, "response_type": {"code"}, "state": {"x"}}.Encode()
	for _, seed := range []string{
		"", good, good + "&prompt=none", good + "&state=%0d%0aX:y", good + "&redirect_uri=//evil", "client_id=fuzzclient&redirect_uri=%2f%2fevil",
		good + "&code_challenge=" + challenge() + "&code_challenge_method=S256", "a=%zz", ";;;", good + "&scope=%00",
	} {
		f.Add(seed)
	}
	client := stopAtRedirects(nil)
	f.Fuzz(func(t *testing.T, rawQuery string) {
		u, err := url.Parse(s.URL() + "/oauth2/authorize")
		if err != nil {
			t.Fatal(err)
		}
		u.RawQuery = rawQuery
		res, err := client.Get(u.String())
		if err != nil {
			t.Skip("not a URL that can be sent")
		}
		defer res.Body.Close()
		to := res.Header.Get("Location")
		own := strings.HasPrefix(to, "/error?") || strings.HasPrefix(to, "/login?") || strings.HasPrefix(to, callback+"?")
		if res.StatusCode != http.StatusBadRequest && (res.StatusCode != http.StatusFound || !own) {
			t.Errorf("got %d to %q", res.StatusCode, to)
		}
	})
}

// Whatever the form says, without a code or token that was issued nothing comes back but an OAuth error.
func FuzzToken(f *testing.F) {
	s := fuzzed(f)
	for _, seed := range []string{
		"", "grant_type=authorization_code&code=x&redirect_uri=y", "grant_type=refresh_token&refresh_token=a.b.c.d.e", "a=%zz",
		"grant_type=refresh_token&grant_type=refresh_token", "grant_type=authorization_code&resource=%23", "client_secret=s&client_id=fuzzclient",
	} {
		f.Add(seed)
	}
	client := stopAtRedirects(nil)
	f.Fuzz(func(t *testing.T, form string) {
		if strings.Contains(form, "client_credentials") {
			t.Skip("that grant needs no token")
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/oauth2/token", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("fuzzclient", "s")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusBadRequest || !strings.HasPrefix(string(body), `{"error":"`) {
			t.Errorf("got %d %s, %v", res.StatusCode, body, err)
		}
	})
}

// Whatever is posted as faults is either in force as it was written, or refused and without effect.
func FuzzFaults(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"token":{"latency":"1s","times":3}}`, `{"lies":{"alg":"none"}}`, `{"token":{"latency":"-1s"}}`, `[]`, `null`, `{"token":null}`,
	} {
		f.Add(seed)
	}
	s := fuzzed(f)
	client := stopAtRedirects(nil)
	f.Fuzz(func(t *testing.T, body string) {
		if err := s.SetFaults(devidp.Faults{}); err != nil {
			t.Fatal(err)
		}
		res, err := client.Post(s.URL()+"/devidp/faults", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		inForce := s.Faults()
		switch res.StatusCode {
		case http.StatusOK:
			if err := s.SetFaults(inForce); err != nil {
				t.Errorf("in force, though the door would refuse it: %v", err)
			}
		case http.StatusBadRequest:
			if inForce != (devidp.Faults{}) {
				t.Errorf("refused, yet in force: %+v", inForce)
			}
		default:
			t.Errorf("got %d", res.StatusCode)
		}
	})
}
