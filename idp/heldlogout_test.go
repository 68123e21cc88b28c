package idp_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vestibule/idp"
)

// spent is a provider with the keys of the fake, that may not be asked for keys again for ten seconds: a forgery has seen to it.
func spent(t *testing.T, f *fake) *idp.Provider {
	t.Helper()
	p := open(t, f)
	f.signedBy(t, keyA(), "a")
	if _, err := refresh(p); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := p.VerifyLogoutToken(t.Context(), unknownKey(t)); !errors.Is(err, idp.ErrUntrusted) || time.Since(start) != 0 {
		t.Fatalf("the forgery: got %v after %s, want ErrUntrusted at once", err, time.Since(start))
	}
	return p
}

func unknownKey(t *testing.T) string {
	t.Helper()
	return sign(t, jose.RS256, keyB(), "unknown", logoutClaims(nil))
}

func (f *fake) rolls() {
	f.set(func(f *fake) { f.keys = []any{jwk("b", keyB().Public())} })
}

// Anybody can send a forgery in the moment in which the provider rolls its keys.
func TestALogoutTokenWithANewKeyIsHeldUntilTheKeysMayBeFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := spent(t, f)
		f.rolls()
		pass(time.Second)
		before, start := f.count("/keys"), time.Now()
		forged := make(chan error, 1)
		go func() {
			_, err := p.VerifyLogoutToken(t.Context(), unknownKey(t))
			forged <- err
		}()
		synctest.Wait() // the forgery is held first, and it is the forgery that the keys will be fetched for
		got, err := p.VerifyLogoutToken(t.Context(), sign(t, jose.RS256, keyB(), "b", logoutClaims(nil)))
		if took := time.Since(start); err != nil || got.Subject != subject || took > 10*time.Second {
			t.Errorf("got %+v and %v after %s, want it accepted within ten seconds", got, err, took)
		}
		if err := <-forged; !errors.Is(err, idp.ErrUntrusted) || time.Since(start) > 10*time.Second {
			t.Errorf("a forgery beside it: got %v after %s, want ErrUntrusted as soon as the keys are there", err, time.Since(start))
		}
		if got := f.count("/keys") - before; got != 1 {
			t.Errorf("%d fetches, want one for all that were held", got)
		}
	})
}

func TestAHeldLogoutTokenIsVerifiedAsSoonAsARefreshHasBroughtTheKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := spent(t, f)
		f.rolls()
		held := make(chan error, 1)
		go func() {
			_, err := p.VerifyLogoutToken(t.Context(), sign(t, jose.RS256, keyB(), "b", logoutClaims(nil)))
			held <- err
		}()
		synctest.Wait()
		f.signedBy(t, keyB(), "b")
		start := time.Now()
		if _, err := refresh(p); err != nil {
			t.Fatal(err)
		}
		if err := <-held; err != nil || time.Since(start) != 0 {
			t.Errorf("got %v after %s, want it accepted at once", err, time.Since(start))
		}
	})
}

func TestStrangersCannotHaveManyLogoutTokensHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := spent(t, f)
		before, start := f.count("/keys"), time.Now()
		const sent, held = 100, 16
		answers, forged := make(chan error, sent), unknownKey(t)
		for range sent {
			go func() {
				_, err := p.VerifyLogoutToken(t.Context(), forged)
				answers <- err
			}()
		}
		synctest.Wait()
		if got := len(answers); got != sent-held {
			t.Fatalf("%d were answered at once, want all but %d", got, held)
		}
		for n := range sent {
			want := idp.ErrUnavailable
			if n >= sent-held {
				want = idp.ErrUntrusted
			}
			if err := <-answers; !errors.Is(err, want) {
				t.Fatalf("answer %d: got %v, want %v", n, err, want)
			}
		}
		if took, got := time.Since(start), f.count("/keys")-before; took != 10*time.Second || got != 1 {
			t.Errorf("the last was answered after %s and %d fetches, want 10s and one", took, got)
		}
		if _, err := p.VerifyLogoutToken(t.Context(), forged); !errors.Is(err, idp.ErrUntrusted) {
			t.Errorf("afterwards: got %v, want that there is room again", err)
		}
	})
}

// A provider that cannot be reached keeps nobody for ever.
func TestAHeldLogoutTokenIsGivenUpAfterFourteenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := spent(t, f)
		f.on("/keys", status(http.StatusServiceUnavailable, ""))
		start := time.Now()
		_, err := p.VerifyLogoutToken(t.Context(), unknownKey(t))
		if took := time.Since(start); !errors.Is(err, idp.ErrUnavailable) || took != 14*time.Second {
			t.Errorf("got %v after %s, want ErrUnavailable after 14s", err, took)
		}
	})
}
