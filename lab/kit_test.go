package lab_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vestibule/lab"
)

// provider rotates refresh tokens and takes none twice.
type provider struct {
	mu    sync.Mutex
	spent map[string]bool
	last  int
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	code := r.FormValue("code")
	if old := r.FormValue("refresh_token"); old != "" {
		code, _, _ = strings.Cut(old, ".")
		if p.spent[old] {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		p.spent[old] = true
	}
	p.last++
	claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"origin_jti":%q,"n":%d}`, code, p.last))
	_, _ = fmt.Fprintf(w, `{"access_token":"h.%s.s","refresh_token":"%s.%d"}`, claims, code, p.last)
}

// held is one session as a replica of these tests keeps it.
type held struct {
	mu              sync.Mutex
	access, refresh string
	due             time.Time
	over            bool
}

// site is replicas that share their sessions; how they misbehave is up to the test.
type site struct {
	sessions sync.Map // code → *held
	witness  *lab.Witness
	naive    bool                                    // whoever finds a token due refreshes it, whoever else does
	instead  func(w http.ResponseWriter, n int) bool // answers the n-th token request in place of the replica
	asked    atomic.Int64
	hangsUp  int64 // at which refresh it does not wait for the answer; 0: at none
	spends   atomic.Int64
}

const fresh = 250 * time.Millisecond // life of a token of these tests until it is due

func (s *site) replica(n int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/auth/sign-in", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://provider.invalid/authorize", http.StatusFound)
	})
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		code := r.FormValue("code")
		h := &held{}
		s.spend(n, h, url.Values{"grant_type": {"authorization_code"}, "code": {code}})
		s.sessions.Store(code, h)
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: code, Path: "/"})
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /api/cognito-token", func(w http.ResponseWriter, r *http.Request) { s.token(n, w, r) })
	return mux
}

func (s *site) token(n int, w http.ResponseWriter, r *http.Request) {
	if s.instead != nil && s.instead(w, int(s.asked.Add(1))) {
		return
	}
	c, err := r.Cookie("sid")
	if err != nil {
		http.Error(w, "{}", http.StatusUnauthorized)
		return
	}
	found, _ := s.sessions.Load(c.Value)
	h := found.(*held)
	h.mu.Lock()
	if time.Now().After(h.due) && !h.over {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {h.refresh}}
		if s.naive {
			h.mu.Unlock()
		}
		s.spend(n, h, form)
		if s.naive {
			h.mu.Lock()
		}
	}
	defer h.mu.Unlock()
	if h.over {
		http.Error(w, "{}", http.StatusUnauthorized)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"accessToken": h.access, "expiresIn": 1})
}

// spend asks the provider through the witness; an answer that does not come changes nothing.
func (s *site) spend(n int, h *held, form url.Values) {
	client := &http.Client{}
	if form.Has("refresh_token") && s.spends.Add(1) == s.hangsUp {
		client.Timeout = 35 * time.Millisecond // the provider has decided by then
	}
	res, err := client.PostForm(s.witness.Endpoint(n), form)
	if err != nil {
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return
	}
	var said struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if s.naive {
		h.mu.Lock()
		defer h.mu.Unlock()
	}
	if res.StatusCode >= http.StatusInternalServerError {
		return
	}
	if res.StatusCode != http.StatusOK {
		h.over = true
		return
	}
	if json.Unmarshal(body, &said) == nil {
		h.access, h.refresh, h.due = said.Access, said.Refresh, time.Now().Add(fresh)
	}
}

// run has two sessions of four tabs each ask two replicas of the site.
func run(t *testing.T, s *site, change func(c *lab.Config)) lab.Report {
	t.Helper()
	return runAt(t, &provider{spent: map[string]bool{}}, s, change)
}

func runAt(t *testing.T, provider http.Handler, s *site, change func(c *lab.Config)) lab.Report {
	t.Helper()
	behind := httptest.NewServer(provider)
	t.Cleanup(behind.Close)
	var err error
	s.witness, err = lab.NewWitness(behind.URL, lab.Delay{Before: 10 * time.Millisecond, After: 40 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.witness.Close() })
	c := lab.Config{
		Origin: "http://app.test", Witness: s.witness, Sessions: 2, Tabs: 4, Duration: 900 * time.Millisecond, Every: 30 * time.Millisecond,
		SignIn: func(_ context.Context, at string, n int) (string, error) {
			if at != "http://provider.invalid/authorize" {
				return "", fmt.Errorf("sent to %q", at)
			}
			return fmt.Sprintf("http://app.test/callback?code=c%d", n), nil
		},
	}
	for n := range 2 {
		server := httptest.NewServer(s.replica(n))
		t.Cleanup(server.Close)
		c.Replicas = append(c.Replicas, server.Listener.Addr().String())
	}
	if change != nil {
		change(&c)
	}
	r, err := lab.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func faults(r lab.Report) string { return strings.Join(r.Faults(), "; ") }
