package lab_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vestibule/lab"
)

func TestReplicasThatCoordinateAreFoundGood(t *testing.T) {
	t.Parallel()
	var told atomic.Int64
	r := run(t, &site{}, func(c *lab.Config) { c.Progress = func(lab.Progress) { told.Add(1) } })
	if got := faults(r); got != "" {
		t.Errorf("got %s, want nothing", got)
	}
	if r.Refreshes < 2 || r.Refreshes != r.Expected || r.Requests != r.OK || r.CookieBytes != len("sidc0") {
		t.Errorf("got %+v, want as many refreshes as generations, and 200 for everybody", r)
	}
	if r.Waited.Count == 0 || r.Prompt.Count == 0 || r.Waited.P50 < r.Prompt.P50 || r.Waited.Count+r.Prompt.Count != r.OK {
		t.Errorf("waited %+v, prompt %+v, want some of each", r.Waited, r.Prompt)
	}
	if told.Load() == 0 {
		t.Error("nobody was told how it goes")
	}
}

func TestReplicasThatDoNotCoordinateAreFoundOut(t *testing.T) {
	t.Parallel()
	r := run(t, &site{naive: true}, nil)
	if r.Twice == 0 || r.Refreshes <= r.Expected || r.SignedOut == 0 || r.StillOut == 0 {
		t.Errorf("got %+v, want refreshes asked twice, and sessions signed out by it", r)
	}
	if got := faults(r); !strings.Contains(got, "signed out") || !strings.Contains(got, "second time") {
		t.Errorf("got %q, want both said", got)
	}
}

func TestWhatTheVerdictKnowsBesides(t *testing.T) {
	t.Parallel()
	other := base64.RawURLEncoding.EncodeToString([]byte(`{"origin_jti":"somebody else"}`))
	for name, c := range map[string]struct {
		instead func(w http.ResponseWriter, n int) bool
		want    string
	}{
		"somebody else's token": {func(w http.ResponseWriter, n int) bool {
			if n == 40 {
				_, _ = fmt.Fprintf(w, `{"accessToken":"h.%s.s","expiresIn":1}`, other)
			}
			return n == 40
		}, "not the session's own"},
		"one 401 for a moment": {func(w http.ResponseWriter, n int) bool {
			if n == 40 {
				w.WriteHeader(http.StatusUnauthorized)
			}
			return n == 40
		}, "1 sessions were signed out"},
		"a 500": {func(w http.ResponseWriter, n int) bool {
			if n == 40 {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return n == 40
		}, "something else than"},
		"503 for a while": {func(w http.ResponseWriter, n int) bool {
			later := n >= 40 && n < 60
			if later {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return later
		}, "were told 503"},
		"nothing to refresh": {func(w http.ResponseWriter, _ int) bool {
			_, _ = fmt.Fprintf(w, `{"accessToken":"h.%s.s","expiresIn":1}`, other)
			return true
		}, "the run shows nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := faults(run(t, &site{instead: c.instead}, nil)); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}

// failing is a provider that fails once.
type failing struct {
	provider
	at    int64 // the call
	calls atomic.Int64
}

func (f *failing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.calls.Add(1) == f.at {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	f.provider.ServeHTTP(w, r)
}

// As long as nobody is killed, each refresh comes to something and none is asked for again, whoever is to blame.
func TestARefreshThatComesToNothingIsAFaultWhileNobodyDies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		site            *site
		failsAt         int64
		lost, undecided int
	}{
		"the provider failed":       {site: &site{}, failsAt: 4, undecided: 1},
		"whoever asked has hung up": {site: &site{hangsUp: 1}, lost: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runAt(t, &failing{provider: provider{spent: map[string]bool{}}, at: c.failsAt}, c.site, nil)
			if r.Lost != c.lost || r.Undecided != c.undecided || r.Again != 1 || r.Twice != 0 || r.Died != 0 {
				t.Errorf("got %+v, want %d lost and %d undecided, asked again once", r, c.lost, c.undecided)
			}
			got := faults(r)
			for _, want := range []string{"1 refreshes came to nothing", "1 refreshes were asked for again", "were to be expected"} {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q in it", got, want)
				}
			}
		})
	}
}

func TestADeathExcusesNoMoreThanDiedWithIt(t *testing.T) {
	t.Parallel()
	good := lab.Report{Tabs: 10, Requests: 1000, Refreshes: 7, Expected: 7}
	death := lab.Report{
		Sessions: 3, Tabs: 10, Requests: 1000, Killed: true, Refreshes: 9, Expected: 7, Again: 2, Lost: 1, Undecided: 1, Died: 2,
		SignedOut: 1, Excused: 1, Unavailable: 60, PutOff: 50,
	}
	for name, c := range map[string]struct {
		from   lab.Report
		change func(r *lab.Report)
		want   string // "" for none
	}{
		"all is well":                      {good, func(*lab.Report) {}, ""},
		"one in a hundred is told 503":     {good, func(r *lab.Report) { r.Unavailable = 10 }, ""},
		"more are":                         {good, func(r *lab.Report) { r.Unavailable = 11 }, "11 of 1000 requests were told 503, 1 more than can be"},
		"more are, and the cache is dead":  {good, func(r *lab.Report) { r.Unavailable, r.CacheFaults = 110, 10 }, ""},
		"more than the cache explains":     {good, func(r *lab.Report) { r.Unavailable, r.CacheFaults = 111, 10 }, "111 of 1000 requests"},
		"one asked again":                  {good, func(r *lab.Report) { r.Refreshes, r.Again = 8, 1 }, "1 refreshes were asked for again"},
		"one undecided":                    {good, func(r *lab.Report) { r.Undecided = 1 }, "1 refreshes came to nothing"},
		"one lost":                         {good, func(r *lab.Report) { r.Lost = 1 }, "1 refreshes came to nothing"},
		"more asked than expected":         {good, func(r *lab.Report) { r.Refreshes = 8 }, "asked for 8 refreshes, and 7 were to be expected"},
		"fewer asked than expected":        {good, func(r *lab.Report) { r.Refreshes = 6 }, "asked for 6 refreshes, and 7 were to be expected"},
		"a death":                          {death, func(*lab.Report) {}, ""},
		"the same, and nobody died":        {death, func(r *lab.Report) { r.Killed = false }, "1 sessions were signed out"},
		"again for more than died":         {death, func(r *lab.Report) { r.Refreshes, r.Again = 10, 3 }, "1 refreshes were asked for again"},
		"more undecided than died":         {death, func(r *lab.Report) { r.Undecided = 2 }, "1 refreshes came to nothing"},
		"more asked than died":             {death, func(r *lab.Report) { r.Refreshes = 10 }, "asked for 10 refreshes, and 7 were to be expected"},
		"fewer expected, and nobody twice": {death, func(r *lab.Report) { r.Refreshes = 6 }, "asked for 6 refreshes"},
		"503 when others have taken over":  {death, func(r *lab.Report) { r.PutOff = 49 }, "60 of 1000 requests were told 503, 1 more than can be"},
		"503 oftener than tabs can ask":    {death, func(r *lab.Report) { r.Unavailable, r.PutOff = 80, 75 }, "80 of 1000 requests were told 503, 10 more than can be"},
		"a sign-out that nothing died for": {death, func(r *lab.Report) { r.SignedOut = 2 }, "1 sessions were signed out"},
	} {
		c.change(&c.from)
		if got := faults(c.from); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// The sites of these tests keep their sessions outside the replicas, and ask again if an answer is lost.
func TestWhoIsExcusedWhenAReplicaDies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at              lab.Moment
		excused         bool
		lost, signedOut bool
	}{
		"before the provider has decided":                        {lab.Asked, true, false, false},
		"in the middle of the answer":                            {lab.Decided, true, true, true},
		"in the middle of the answer, and the provider forgives": {lab.Decided, false, true, true},
		"when a tab holds the new token":                         {lab.Served, true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var killed atomic.Int64
			r := run(t, &site{}, func(conf *lab.Config) {
				conf.Kill = &lab.Kill{At: c.at, After: 100 * time.Millisecond, Do: func(int) { killed.Add(1) }}
				conf.Excused, conf.Sessions = c.excused, 1
			})
			if killed.Load() != 1 || !r.Killed {
				t.Fatalf("%d replicas were killed, want one", killed.Load())
			}
			if (r.Lost > 0) != c.lost || (r.SignedOut > 0) != c.signedOut {
				t.Errorf("got %+v, want an answer lost: %v, a session signed out: %v", r, c.lost, c.signedOut)
			}
			if good := len(r.Faults()) == 0; good != (!c.signedOut || c.excused) {
				t.Errorf("got %q", r.Faults())
			}
		})
	}
}

func TestARunThatCouldShowNothingIsRefused(t *testing.T) {
	t.Parallel()
	w, err := lab.NewWitness("http://127.0.0.1:1/", lab.Delay{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	signIn := func(context.Context, string, int) (string, error) { return "", nil }
	good := lab.Config{Origin: "http://app.test", Replicas: []string{"127.0.0.1:1"}, Witness: w, SignIn: signIn, Duration: time.Second}
	for name, row := range map[string]struct {
		change func(c *lab.Config)
		says   string
	}{
		"no origin":               {func(c *lab.Config) { c.Origin = "app" }, "is not an origin"},
		"no replicas":             {func(c *lab.Config) { c.Replicas = nil }, "is missing"},
		"no witness":              {func(c *lab.Config) { c.Witness = nil }, "is missing"},
		"no time":                 {func(c *lab.Config) { c.Duration = 0 }, "is missing"},
		"killing the only one":    {func(c *lab.Config) { c.Kill = &lab.Kill{At: lab.Asked} }, "who kills the only replica"},
		"nobody answers sign-ins": {func(*lab.Config) {}, "sign in session 1"},
	} {
		c := good
		row.change(&c)
		if _, err := lab.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: got %v, want %q in it", name, err, row.says)
		}
	}
}
