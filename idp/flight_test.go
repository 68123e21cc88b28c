package idp_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vestibule/idp"
)

// logged is open with a log to look at.
func logged(t *testing.T, f *fake, changes ...func(*idp.Config)) (*idp.Provider, *strings.Builder) {
	t.Helper()
	log := &strings.Builder{}
	changes = append(changes, func(c *idp.Config) { c.Logger = slog.New(slog.NewJSONHandler(log, nil)) })
	return open(t, f, changes...), log
}

// checkPanicLog wants records of the panic with a stack, and not what was panicked with.
func checkPanicLog(t *testing.T, log string) {
	t.Helper()
	for _, want := range []string{`"msg":"panic"`, `"stack":"goroutine `, "flight_test.go"} {
		if !strings.Contains(log, want) {
			t.Errorf("log: got %s, want %s in it", log, want)
		}
	}
	if strings.Contains(log, "hunter2") {
		t.Errorf("the log tells what was panicked with: %s", log)
	}
}

func TestAPanicDuringDiscoveryIsAnErrorForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.on(wellKnown, func(http.ResponseWriter, *http.Request) {
			pass(time.Second)
			panic("hunter2")
		})
		p, log := logged(t, f)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if _, err := p.AuthURL(t.Context(), request); !errors.Is(err, idp.ErrUnavailable) {
					t.Errorf("got %v, want ErrUnavailable", err)
				}
			})
		}
		group.Wait()
		if f.count(wellKnown) != 1 {
			t.Errorf("%d discoveries, want one", f.count(wellKnown))
		}
		checkPanicLog(t, log.String())
		f.on(wellKnown, f.serve)
		pass(5 * time.Second)
		if _, err := p.AuthURL(t.Context(), request); err != nil {
			t.Errorf("afterwards: got %v", err)
		}
	})
}

func TestRunOutlivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.on(wellKnown, func(w http.ResponseWriter, r *http.Request) {
			if f.count(wellKnown) == 1 {
				var none []int
				none[0]++
			}
			f.serve(w, r)
		})
		p, log := logged(t, f)
		ctx, cancel := context.WithCancel(t.Context())
		go p.Run(ctx)
		pass(time.Second)
		synctest.Wait()
		if err := p.Ready(); err != nil {
			t.Errorf("got %v, want a provider that is ready", err)
		}
		cancel()
		synctest.Wait()
		checkPanicLog(t, log.String())
		if !strings.Contains(log.String(), "index out of range") {
			t.Errorf("log: got %s, want the runtime's own words", log)
		}
	})
}

func TestAPanicWhileKeysAreFetchedLeavesTheFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake().answers("")
		f.on("/keys", func(http.ResponseWriter, *http.Request) { panic("hunter2") })
		p, log := logged(t, f)
		for range 600 {
			if _, err := refresh(p); !errors.Is(err, idp.ErrUnavailable) || f.count("/token") != 0 {
				t.Fatalf("got %v after %d token requests, want ErrUnavailable after none", err, f.count("/token"))
			}
			pass(time.Second / 10)
		}
		if got := f.count("/keys"); got > 10 {
			t.Errorf("%d fetches in a minute, want at most 10", got)
		}
		checkPanicLog(t, log.String())
	})
}

func TestAPanicWhileTheSecretIsFetchedLeavesTheProvidersAnswer(t *testing.T) {
	f := newFake().answers("")
	f.on("/token", status(401, `{"error":"invalid_client"}`))
	p, log := logged(t, f, func(c *idp.Config) {
		c.RefreshSecret = func(context.Context) error { panic("hunter2") }
	})
	if _, err := refresh(p); !errors.Is(err, idp.ErrMisconfigured) || f.count("/token") != 1 {
		t.Errorf("got %v after %d token requests, want ErrMisconfigured after one", err, f.count("/token"))
	}
	checkPanicLog(t, log.String())
}
