package machine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"vestibule/machine"
)

// stale asks and wants the old token within so much time.
func (r *replica) stale(t *testing.T, old string, most time.Duration) {
	t.Helper()
	begin := time.Now()
	a, err := r.Token(t.Context(), nil, from("a", "s"))
	took := time.Since(begin)
	if err != nil {
		t.Fatalf("got %v after %s, want the token that lives", err, took)
	}
	if tokenOf(t, a) != old || a.How != machine.HowStale || a.TTL < time.Second || took > most {
		t.Errorf("got %s, %s, %s left, after %s, want the old token within %s", a.Body, a.How, a.TTL, took, most)
	}
}

func TestALivingTokenIsServedToItsEndWhileTheProviderHangs(t *testing.T) {
	for name, left := range map[string]time.Duration{
		"three seconds":            3 * time.Second,
		"two and a half":           2500 * time.Millisecond,
		"two":                      2 * time.Second,
		"one and a bit":            1100 * time.Millisecond,
		"one, as long as it lives": time.Second,
		"almost a minute":          59 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &provider{}
				r := newReplica(t, p, nil)
				old := r.token(t, from("a", "s"))
				p.set(after(time.Hour, 200, granted(9)))
				time.Sleep(time.Hour - left)
				r.stale(t, old, min(2*time.Second, max(left-time.Second, time.Millisecond)))
			})
		})
	}
}

func TestNobodyWaitsForARequestThatHangsAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		old := r.token(t, from("a", "s"))
		p.set(after(time.Hour, 200, granted(9)))
		time.Sleep(59*time.Minute + 10*time.Second)
		r.stale(t, old, 2*time.Second) // the first waits for what it has begun
		for range 40 {
			r.stale(t, old, 0) // while it hangs, when it has failed, and while the next ones hang
			time.Sleep(time.Second)
		}
		if got := p.calls.Load(); got < 3 {
			t.Errorf("the provider was asked %d times, want the renewal tried again behind the answers", got)
		}
		p.set(always(200, granted(10)))
		time.Sleep(3 * time.Second) // of the last six
		begin := time.Now()
		a := r.ask(t, from("a", "s"))
		if took := time.Since(begin); tokenOf(t, a) == "" || took > 2*time.Second {
			t.Errorf("got %s after %s, want a token within the life of the old one", a.Body, took)
		}
	})
}

// Two callers, the second when the first has waited for a while already: both are served when the first is.
func TestWhoJoinsWaitsNoLongerThanWhoBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		old := r.token(t, from("a", "s"))
		p.set(after(time.Hour, 200, granted(9)))
		time.Sleep(59*time.Minute + 10*time.Second)
		first := make(chan struct{})
		go func() { defer close(first); _, _ = r.Token(t.Context(), nil, from("a", "s")) }()
		time.Sleep(1500 * time.Millisecond)
		r.stale(t, old, 500*time.Millisecond)
		<-first
	})
}

func TestAQuietServiceThatFailedLongAgoWaitsForANewToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		old := r.token(t, from("a", "s"))
		p.set(always(403, "a firewall"))
		time.Sleep(59*time.Minute + 10*time.Second)
		r.stale(t, old, 0)
		p.set(after(time.Second, 200, granted(10)))
		time.Sleep(30 * time.Second)
		if a := r.ask(t, from("a", "s")); a.How != machine.HowMiss {
			t.Errorf("got %s, want a new token: the provider works again", a.How)
		}
	})
}

// The token is for two scopes, the refusal for a third: how the request for the token is spelled decides nothing.
func TestARefusalOfTheCredentialDoesNotHideALivingToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		r := newReplica(t, p, nil)
		token := r.token(t, from("a", "s", "scope", "x y"))
		p.set(always(401, `{"error":"invalid_client"}`))
		if a := r.ask(t, from("a", "s", "scope", "z")); a.Status != 401 {
			t.Fatalf("got %d, want the refusal", a.Status)
		}
		for _, scope := range []string{"x y", "y x", "y  x"} {
			if a := r.ask(t, from("a", "s", "scope", scope)); a.How != machine.HowHit || tokenOf(t, a) != token {
				t.Errorf("%q: got %d %s, want a hit", scope, a.Status, a.How)
			}
		}
		if a := r.ask(t, from("a", "s", "scope", "w")); a.How != machine.HowNegative || a.Status != 401 || p.calls.Load() != 2 {
			t.Errorf("another scope: got %d %s after %d requests, want the refusal remembered", a.Status, a.How, p.calls.Load())
		}
		// Near its end it would be renewed in every spelling, were the credential not refused just now.
		time.Sleep(59*time.Minute + 10*time.Second)
		r.ask(t, from("a", "s", "scope", "z"))
		if a := r.ask(t, from("a", "s", "scope", "y x")); a.How != machine.HowStale || tokenOf(t, a) != token {
			t.Errorf("near its end: got %d %s, want the living token, marked", a.Status, a.How)
		}
	})
}
