package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"vestibule/idp/devidp"
	"vestibule/secret"
)

// keyFile is a good session key in a file.
func keyFile(t *testing.T) string {
	t.Helper()
	key := t.TempDir() + "/key"
	if err := os.WriteFile(key, []byte(secret.GenerateKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return key
}

// The whole program, signals included.
func TestASecondSignalEndsTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	address, errw := freeAddress(t), &screen{}
	process := exec.Command(binary(t), "serve", "--listen="+address, "--admin_listen=", "--public_url=http://"+address,
		"--provider.issuer=http://127.0.0.1:1/pool", "--provider.client_id=app", "--provider.client_secret=hunter2hunter2",
		"--session.keys=file:"+keyFile(t), "--shutdown_delay=1m", "--log.format=json")
	process.Stderr = errw
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- process.Wait(); close(ended) }()
	t.Cleanup(func() { _ = process.Process.Kill(); <-ended })

	until(t, "it serves", func() bool { return strings.Contains(errw.String(), `"msg":"serving"`) })
	signal := func() {
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	signal()
	until(t, "it drains", func() bool { return strings.Contains(errw.String(), `"msg":"stopping"`) })
	select {
	case err := <-ended:
		t.Fatalf("it ended (%v) within the delay, after one signal:\n%s", err, errw)
	case <-time.After(50 * time.Millisecond):
	}
	signal()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
			t.Errorf("it ended with %v, want by the signal", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on draining after a second signal")
	}
}

// As the program is wired: the browser has hung up, the provider is slow, and the stop comes in between.
func TestTheProgramDoesNotStopInTheMiddleOfARotation(t *testing.T) {
	t.Parallel()
	public, idpAddress := freeAddress(t), freeAddress(t)
	origin := "http://" + public
	provider, err := devidp.Start(devidp.Config{
		Addr: idpAddress, ClientID: "app", ClientSecret: "hunter2hunter2",
		RedirectURIs: []string{origin + "/api/auth/sign-in-callback"}, LogoutURIs: []string{origin + "/api/auth/sign-out-callback"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	p := start(t, "serve", "--listen="+public, "--admin_listen=", "--public_url="+origin,
		"--provider.issuer="+provider.Issuer(), "--provider.client_id=app", "--provider.client_secret=hunter2hunter2",
		"--session.keys=file:"+keyFile(t))
	c := newBrowser(t)
	until(t, "it is ready", func() bool { status, _ := get(t, c, origin+"/readyz"); return status == http.StatusOK })
	signIn(t, c, origin, provider.Users()[0])

	const slow = 1500 * time.Millisecond
	if err := provider.SetFaults(devidp.Faults{Token: devidp.Fault{Latency: slow}}); err != nil {
		t.Fatal(err)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/api/cognito-token?forceRefresh=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() {
		res, err := c.Do(r)
		if err == nil {
			_ = res.Body.Close()
		}
		gone <- err
	}()
	until(t, "the refresh is under way", func() bool { return provider.Stats().Refresh.Asked == 1 })
	hangUp()
	if err := <-gone; err == nil {
		t.Fatal("the browser that hung up got an answer")
	}
	c.Transport.(*http.Transport).CloseIdleConnections()
	if provider.Stats().Refresh.OK != 0 {
		t.Fatal("the refresh is over already: this proves nothing")
	}
	stopped(t, p)
	if got := provider.Stats().Refresh; got.OK != 1 || got.Asked != 1 {
		t.Errorf("got %+v refreshes when the program ended, want one that was finished", got)
	}
}

// What the program reckons at start is no cookie of anybody's.
func TestMetricsTellOfNoCookieBeforeAnybodySignedIn(t *testing.T) {
	t.Parallel()
	public, admin := freeAddress(t), freeAddress(t)
	start(t, "serve", "--listen="+public, "--admin_listen="+admin, "--public_url=http://"+public,
		"--provider.issuer=http://127.0.0.1:1/pool", "--provider.client_id=app", "--provider.client_secret=hunter2hunter2",
		"--session.keys=file:"+keyFile(t))
	c := newBrowser(t)
	body := ""
	until(t, "the admin listener answers", func() bool {
		status, text := get(t, c, "http://"+admin+"/metrics")
		body = text
		return status == http.StatusOK
	})
	if !strings.Contains(body, "\nvestibule_session_cookie_bytes_count 0\n") {
		t.Error("a cookie is counted before anybody has one")
	}
	c.Transport.(*http.Transport).CloseIdleConnections()
}
