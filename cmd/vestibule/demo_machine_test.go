package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"vestibule/views"
)

// startDemo starts the demo and gives its origin.
func startDemo(t *testing.T) (p *program, origin string) {
	t.Helper()
	p = start(t, "demo", "--listen=localhost:0")
	until(t, "the demo prints where to go", func() bool {
		if m := regexp.MustCompile(`Open\s+(http://localhost:\d+)\n`).FindStringSubmatch(p.out.String()); m != nil {
			origin = m[1]
		}
		return origin != ""
	})
	return p, origin
}

// post sends an empty form and does not follow where the answer leads.
func post(t *testing.T, c *http.Client, url string, header http.Header) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	alone := *c
	alone.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := alone.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}

func TestTheDemosBurstCostsOneCallAndTheNextOneNone(t *testing.T) {
	p, origin := startDemo(t)
	if !strings.Contains(p.out.String(), origin+"/machine\n") {
		t.Errorf("the demo does not say where its page about machine tokens is:\n%s", p.out)
	}
	c := newBrowser(t)
	if status, page := get(t, c, origin+"/machine"); status != http.StatusOK || !strings.Contains(page, "Send 1,000 requests") {
		t.Errorf("before a burst: got %d, want a page with the button", status)
	}
	for _, elsewhere := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
		{"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://localhost:1"}},
		{"Origin": {strings.Replace(origin, "localhost", "evil.example", 1)}, "Sec-Fetch-Site": {"same-origin"}},
	} {
		if res := post(t, c, origin+"/machine/burst", elsewhere); res.StatusCode != http.StatusForbidden {
			t.Errorf("a press from %v: got %d, want 403", elsewhere, res.StatusCode)
		}
	}
	for _, want := range []string{"1,000 tokens, 1 call to the provider", "1,000 tokens, 0 calls to the provider"} {
		res := post(t, c, origin+"/machine/burst", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {origin}})
		if got := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || got != "/machine#burst" {
			t.Fatalf("a press: got %d to %q, want 303 to the page", res.StatusCode, got)
		}
		if _, page := get(t, c, origin+"/machine"); !strings.Contains(page, want) {
			t.Errorf("want %q on the page:\n%.3000s", want, page)
		}
	}
	c.Transport.(*http.Transport).CloseIdleConnections()
	stopped(t, p)
	if got := p.errw.String(); got != "" {
		t.Errorf("the bursts fill the terminal:\n%.1000s", got)
	}
}

// Only what reached the provider costs; a refusal must not count as an answer, nor make the times look good.
func TestABurstIsSummedUpByWhatCameOfEachRequest(t *testing.T) {
	got := summary([]answer{
		{fate: fateFailed, took: 1}, {fateWaited, 30, "a", 60}, {fateAsked, 40, "a", 60}, {fateHit, 10, "b", 59}, {fateHit, 20, "b", 58}, {fate: fateFailed},
	}, 3)
	want := views.DemoBurst{Asked: 1, Waited: 1, Hit: 2, Failed: 2, Calls: 3, Tokens: 2, First: 30, Median: 30, Last: 20, ExpiresIn: 58}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := summary([]answer{{fate: fateFailed}}, 0), (views.DemoBurst{Failed: 1}); got != want {
		t.Errorf("nobody got anything: got %+v, want %+v", got, want)
	}
}

func TestFatesAreReadFromCacheStatus(t *testing.T) {
	for status, want := range map[string]fate{
		"vestibule; hit; ttl=59":                                    fateHit,
		"vestibule; hit; ttl=59; detail=shared":                     fateHit,
		"vestibule; fwd=miss; fwd-status=200; stored; ttl=60":       fateAsked,
		"vestibule; fwd=miss; collapsed; ttl=60":                    fateWaited,
		"vestibule; fwd=stale; fwd-status=503; ttl=3; detail=stale": fateHit,
	} {
		if got := fateOf(status); got != want {
			t.Errorf("%s: got %v, want %v", status, got, want)
		}
	}
}
