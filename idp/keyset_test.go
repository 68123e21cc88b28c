package idp_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vestibule/idp"
)

// signedBy makes the fake answer a refresh with an ID token of this key.
func (f *fake) signedBy(t *testing.T, key any, id string) {
	f.answers(sign(t, jose.RS256, key, id, idClaims(nil)))
}

func TestAKeyRollIsNoticedAtOnceAsOftenAsItHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := open(t, f)
		f.signedBy(t, keyA(), "a")
		if _, err := refresh(p); err != nil {
			t.Fatal(err)
		}
		for i, id := range []string{"b", "c", "d"} {
			f.set(func(f *fake) { f.keys = []any{jwk(id, keyB().Public())} })
			f.signedBy(t, keyB(), id)
			if _, err := refresh(p); err != nil {
				t.Fatalf("roll to %s: %v", id, err)
			}
			if got := f.count("/keys"); got != i+2 {
				t.Errorf("roll to %s: %d fetches, want %d", id, got, i+2)
			}
		}
		if _, err := refresh(p); err != nil || f.count("/keys") != 4 {
			t.Errorf("a known key: %v, %d fetches, want still 4", err, f.count("/keys"))
		}
	})
}

func TestANewKeyUnderAnOldNameIsFound(t *testing.T) {
	f := newFake()
	p := open(t, f)
	f.signedBy(t, keyA(), "a")
	if _, err := refresh(p); err != nil {
		t.Fatal(err)
	}
	f.set(func(f *fake) { f.keys = []any{jwk("a", keyB().Public())} })
	f.signedBy(t, keyB(), "a")
	if _, err := refresh(p); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestAStreamOfUnknownKeysCostsOneFetchInTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := open(t, f)
		f.signedBy(t, keyB(), "unknown")
		if _, err := refresh(p); !errors.Is(err, idp.ErrUntrusted) {
			t.Fatalf("the first: got %v, want ErrUntrusted", err)
		}
		before, end := f.count("/keys"), time.Now().Add(time.Minute)
		for time.Now().Before(end) {
			// Inside the floor nobody can tell whether the key is new or a lie.
			_, err := refresh(p)
			if !errors.Is(err, idp.ErrUntrusted) && !errors.Is(err, idp.ErrUnavailable) {
				t.Fatalf("got %v", err)
			}
		}
		if got := f.count("/keys") - before; got < 5 || got > 7 {
			t.Errorf("%d fetches in a minute, want about 6", got)
		}
	})
}

// A token that names a key we hold and does not verify with it is looked up once, in case the key is a new one under an
// old name. A stream of them must not become a stream of requests.
func TestAStreamOfForgedTokensWithAKnownKeyCostsOneFetchInTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := open(t, f)
		f.signedBy(t, keyA(), "a")
		if _, err := refresh(p); err != nil {
			t.Fatal(err)
		}
		f.signedBy(t, keyB(), "a")
		for second := range 30 {
			for range 50 {
				if _, err := refresh(p); !errors.Is(err, idp.ErrUntrusted) {
					t.Fatalf("got %v, want ErrUntrusted", err)
				}
			}
			if got, want := f.count("/keys")-1, second/10+1; got != want {
				t.Fatalf("second %d: %d fetches, want %d", second, got, want)
			}
			pass(time.Second)
		}
		f.signedBy(t, keyA(), "a")
		if _, err := refresh(p); err != nil {
			t.Errorf("an honest token afterwards: got %v", err)
		}
	})
}

func TestManyCallersShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.on("/keys", func(w http.ResponseWriter, r *http.Request) {
			pass(time.Second)
			f.serve(w, r)
		})
		f.signedBy(t, keyA(), "a")
		p := open(t, f)
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				if _, err := refresh(p); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if f.count("/keys") != 1 || f.count("/.well-known/openid-configuration") != 1 {
			t.Errorf("%d key fetches, %d discoveries; want one each", f.count("/keys"), f.count("/.well-known/openid-configuration"))
		}
	})
}

func TestACallerWhoLeavesDoesNotStopTheFetchOthersWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.on("/keys", func(w http.ResponseWriter, r *http.Request) {
			pass(time.Second)
			f.serve(w, r)
		})
		f.signedBy(t, keyA(), "a")
		p := open(t, f)
		ctx, cancel := context.WithCancel(context.Background())
		left := make(chan error)
		go func() {
			_, err := p.Refresh(ctx, idp.RefreshRequest{RefreshToken: "refresh-1", Subject: subject})
			left <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, idp.ErrUnavailable) {
			t.Errorf("the one who left: got %v", err)
		}
		if _, err := refresh(p); err != nil || f.count("/keys") != 1 {
			t.Errorf("the one who stayed: %v after %d fetches, want one", err, f.count("/keys"))
		}
	})
}

func TestNothingIsSpentWhileThereAreNoKeys(t *testing.T) {
	f := newFake().answers("")
	f.on("/keys", status(500, ""))
	_, err := refresh(open(t, f))
	fail, _ := errors.AsType[*idp.Error](err)
	if fail == nil || fail.Kind != idp.ErrUnavailable || fail.Lost || f.count("/token") != 0 {
		t.Errorf("got %v after %d token requests, want ErrUnavailable after none", err, f.count("/token"))
	}
}

func TestKeysThatFailForAMomentAreAwaitedOnceTheTokenIsSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := open(t, f)
		f.signedBy(t, keyA(), "a")
		if _, err := refresh(p); err != nil {
			t.Fatal(err)
		}
		f.set(func(f *fake) { f.keys = []any{jwk("b", keyB().Public())} })
		f.signedBy(t, keyB(), "b")
		f.on("/keys", func(w http.ResponseWriter, r *http.Request) {
			if f.count("/keys") < 3 {
				status(503, "")(w, r)
				return
			}
			f.serve(w, r)
		})
		start := time.Now()
		if _, err := refresh(p); err != nil || time.Since(start) > 4*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestKeysThatKeepFailingAreALostRefreshNotALie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := open(t, f)
		f.signedBy(t, keyA(), "a")
		if _, err := refresh(p); err != nil {
			t.Fatal(err)
		}
		f.signedBy(t, keyB(), "b")
		f.on("/keys", status(503, ""))
		start := time.Now()
		_, err := refresh(p)
		fail, _ := errors.AsType[*idp.Error](err)
		if fail == nil || fail.Kind != idp.ErrUnavailable || !fail.Lost || time.Since(start) > 5*time.Second {
			t.Errorf("got %v after %v, want a lost ErrUnavailable", err, time.Since(start))
		}
		// The old keys are still good.
		f.signedBy(t, keyA(), "a")
		if _, err := refresh(p); err != nil {
			t.Errorf("with a key held: %v", err)
		}
	})
}

func TestOnlyPublicSigningKeysAreTaken(t *testing.T) {
	encryption := jose.JSONWebKey{Key: keyA().Public(), KeyID: "a", Use: "enc"}
	other := jose.JSONWebKey{Key: keyA().Public(), KeyID: "a", Use: "sig", Algorithm: "PS256"}
	for name, c := range map[string]struct {
		keys []any
		want error
	}{
		"a key for encryption":            {[]any{encryption}, idp.ErrUnavailable},
		"a private key":                   {[]any{jose.JSONWebKey{Key: keyA(), KeyID: "a"}}, idp.ErrUnavailable},
		"a symmetric key":                 {[]any{map[string]string{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}}, idp.ErrUnavailable},
		"nothing":                         {nil, idp.ErrUnavailable},
		"a key for another algorithm":     {[]any{other}, idp.ErrUntrusted},
		"a key without a use":             {[]any{jose.JSONWebKey{Key: keyA().Public(), KeyID: "a"}}, nil},
		"one good key among strange ones": {[]any{map[string]string{"kty": "new"}, 7, "x", encryption, jwk("a", keyA().Public())}, nil},
	} {
		f := newFake().answers(idToken(t, nil))
		f.keys = c.keys
		if _, err := refresh(open(t, f)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestATokenWithoutKidIsTriedWithEveryKey(t *testing.T) {
	f := newFake()
	f.keys = []any{jwk("b", keyB().Public()), jwk("e", keyE().Public()), jwk("a", keyA().Public())}
	f.signedBy(t, keyA(), "")
	if _, err := refresh(open(t, f)); err != nil {
		t.Error(err)
	}
}

func TestAKeySetIsBounded(t *testing.T) {
	f := newFake()
	f.on("/keys", status(200, `{"keys":["`+strings.Repeat("x", 1<<20)+`"]}`))
	err := open(t, f).Check(context.Background())
	if !errors.Is(err, idp.ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed", err)
	}
}
