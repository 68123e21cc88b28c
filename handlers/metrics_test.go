package handlers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vestibule/idp/devidp"
	"vestibule/kv"
	"vestibule/kv/kvtest"
)

// metrics is what /metrics tells: name and labels → value as it stands there.
func (s *server) metrics(t testing.TB) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	s.web.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("metrics: got %d, want 200", w.Code)
	}
	out := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok {
			out[name+"}"] = value
		} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			out[name] = value
		}
	}
	return out
}

// tells compares samples; "" means that there is none.
func (s *server) tells(t testing.TB, when string, want map[string]string) {
	t.Helper()
	got := s.metrics(t)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %s is %q, want %q", when, name, got[name], value)
		}
	}
}

func refreshesOf(outcome string) string {
	return fmt.Sprintf(`vestibule_refreshes_total{outcome="%s"}`, outcome)
}

func pendingOf(event string) string {
	return fmt.Sprintf(`vestibule_pending_sign_ins_total{event="%s"}`, event)
}

func degradedOf(what string) string {
	return fmt.Sprintf(`vestibule_cache_degraded_total{what="%s"}`, what)
}

const cookiesWritten = "vestibule_session_cookie_bytes_count"

func TestMetricsCountSignInsAndRefreshesByTheirOutcome(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	if _, err := s.sessions.Typical(false); err != nil { // what the program does at start is no cookie of anybody's
		t.Fatal(err)
	}
	b := s.browser(t)
	b.get(tokenPath)
	b.get("/login")
	s.tells(t, "before anybody signed in", map[string]string{
		cookiesWritten: "0", "vestibule_session_cookie_bytes_sum": "0",
		pendingOf("begun"): "", pendingOf("taken"): "", pendingOf("evicted"): "",
		refreshesOf("refreshed"): "", degradedOf("refresh"): "", degradedOf("revocation"): "",
	})

	b.signIn()
	old := b.cookies()
	s.tells(t, "after a sign-in", map[string]string{cookiesWritten: "1", pendingOf("begun"): "1", pendingOf("taken"): "1", pendingOf("evicted"): ""})
	for range 20 {
		b.begin("/api/auth/sign-in")
	}
	evicted := 20 - strings.Count(b.cookies(), s.cookie+".p.")
	if evicted < 1 {
		t.Fatal("no sign-in gave way: this proves nothing")
	}
	s.tells(t, "after twenty sign-ins that nobody finished", map[string]string{
		pendingOf("begun"): "21", pendingOf("taken"): "1", pendingOf("evicted"): fmt.Sprint(evicted), cookiesWritten: "1",
	})

	s.clock.advance(2 * time.Hour)
	b.token("")
	s.tells(t, "after a refresh", map[string]string{refreshesOf("refreshed"): "1", refreshesOf("adopted"): "", cookiesWritten: "2"})
	s.stranger(t).token("", old)
	s.tells(t, "after a straggler", map[string]string{refreshesOf("refreshed"): "1", refreshesOf("adopted"): "1", cookiesWritten: "3"})

	s.clock.advance(2 * time.Hour)
	s.faults(t, devidp.Faults{Token: devidp.Fault{Status: 500, Times: 1}})
	b.get(tokenPath)
	s.tells(t, "after an outage", map[string]string{refreshesOf("unavailable"): "1", refreshesOf("refused"): ""})
	s.faults(t, devidp.Faults{})
	s.provider.RevokeUser(s.provider.Users()[0].Email)
	s.clock.advance(time.Minute)
	b.get(tokenPath).wants(t, http.StatusUnauthorized, unauthorized)
	s.tells(t, "after a refusal", map[string]string{
		refreshesOf("refused"): "1", refreshesOf("unavailable"): "1", refreshesOf("refreshed"): "1", cookiesWritten: "3",
	})
	b.signIn()
	s.clock.advance(2 * time.Hour)
	s.faults(t, devidp.Faults{Lies: devidp.Lies{WrongSubject: true}})
	b.get(tokenPath).wants(t, http.StatusUnauthorized, unauthorized)
	s.tells(t, "after a lie", map[string]string{refreshesOf("untrusted"): "1", refreshesOf("refused"): "1", degradedOf("refresh"): ""})
}

func TestMetricsTellWhatWasDoneWithoutTheCache(t *testing.T) {
	t.Parallel()
	store := &kvtest.Faulty{}
	s := newServer(t, func(o *options) {
		o.clock = newClock()
		store.Store = kv.NewMemory(kv.MemoryConfig{Now: o.clock.Now})
		o.session.Store = store
	})
	b := s.browser(t)
	b.signIn()
	b.token("")
	s.tells(t, "while the cache answers", map[string]string{degradedOf("refresh"): "", degradedOf("revocation"): ""})
	store.SetDown(true)
	b.get("/api/auth/session")
	b.token("")
	s.tells(t, "after two looks for a revocation", map[string]string{degradedOf("revocation"): "2", degradedOf("refresh"): ""})
	s.clock.advance(2 * time.Hour)
	b.token("")
	got := s.metrics(t)
	if got[degradedOf("refresh")] == "" || got[refreshesOf("refreshed")] != "1" {
		t.Errorf("after a refresh: %s degraded and %s refreshed, want some and 1", got[degradedOf("refresh")], got[refreshesOf("refreshed")])
	}
}
