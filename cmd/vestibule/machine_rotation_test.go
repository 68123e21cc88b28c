package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vestibule/idp/devidp"
	"vestibule/secret"
)

// Whoever changes the key in its file gives the new one to the service and expects that to be all.
func TestTheFirstUseOfANewKeyInItsFileEndsTheOldOne(t *testing.T) {
	provider, err := devidp.Start(devidp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	public, admin := freeAddress(t), freeAddress(t)
	own, file := filepath.Join(t.TempDir(), "own"), filepath.Join(t.TempDir(), "vestibule.yaml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const old, fresh = "hunter2-of-the-billing-service", "hunter3-of-the-billing-service"
	write(own, old)
	write(file, "machine:\n  enabled: true\n  clients:\n    - {id: billing, secret: 'file:"+own+"', scopes: [vestibule/read]}\n")
	p := start(t, "serve", "--config="+file, "--listen="+public, "--admin_listen="+admin, "--public_url=http://"+public,
		"--provider.issuer="+provider.Issuer(), "--provider.client_id="+provider.ClientID(), "--provider.client_secret="+provider.ClientSecret(),
		"--session.keys="+secret.GenerateKey())
	c := newBrowser(t)
	until(t, "readiness says yes", func() bool { status, _ := get(t, c, "http://"+admin+"/readyz"); return status == http.StatusOK })
	wants := func(what, key string, want int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+public+"/oauth2/token", strings.NewReader("grant_type=client_credentials"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("billing", key)
		res, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: got %d, want %d", what, res.StatusCode, want)
		}
	}
	wants("the key of the start", old, http.StatusOK)
	write(own, fresh)
	wants("the new key", fresh, http.StatusOK)
	wants("the old key afterwards", old, http.StatusUnauthorized)
	wants("the new key again", fresh, http.StatusOK)
	write(own, "x") // as start would refuse it
	wants("one that is too short", "x", http.StatusUnauthorized)
	wants("the last good one", fresh, http.StatusOK)
	c.Transport.(*http.Transport).CloseIdleConnections()
	stopped(t, p)
	if log := p.errw.String(); !strings.Contains(log, "the last good value stays") || !strings.Contains(log, "is shorter than 16 bytes") {
		t.Errorf("the log says %q, want that the short key was passed over, and why", log)
	}
}
