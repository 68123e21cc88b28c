package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vestibule/idp/devidp"
)

// 127.0.0.2 stands for the address that a container has towards its host.
func TestWhatIsPublishedIsPassedOnAndNothingElse(t *testing.T) {
	t.Parallel()
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Host)) }))
	t.Cleanup(inside.Close)
	target := inside.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(target)
	stop, err := publish([]netip.Addr{netip.MustParseAddr("127.0.0.2")}, target)
	if err != nil {
		t.Fatal(err)
	}
	c := newBrowser(t)
	at := "127.0.0.2:" + port
	if status, body := get(t, c, "http://"+at+"/"); status != http.StatusOK || body != at {
		t.Errorf("got %d %q, want what the server inside says, told who was asked for", status, body)
	}
	stop()
	c.Transport.(*http.Transport).CloseIdleConnections()
	if conn, err := net.Dial("tcp", at); err == nil {
		_ = conn.Close()
		t.Error("it still listens after the end")
	}
}

// Each start makes its own, so that none is worth keeping.
func TestWhatIsHandedOverIsMadeAnewAndOnlyForTheOwner(t *testing.T) {
	t.Parallel()
	folder, seen := t.TempDir(), map[string]bool{}
	for range 2 {
		provider, err := devidp.Start(devidp.Config{ClientID: handedClient})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = provider.Close() })
		if err := handOver(folder, "localhost:8080", provider); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"client-secret", "session-key"} {
			text, err := os.ReadFile(folder + "/" + name)
			info, _ := os.Stat(folder + "/" + name)
			if err != nil || info.Mode().Perm() != 0o600 || len(strings.TrimSpace(string(text))) < 32 || seen[string(text)] {
				t.Errorf("%s: %v, %v; want a new secret for the owner alone", name, err, info)
			}
			seen[string(text)] = true
		}
	}
}

// What stands there already may be readable to everybody, or lead elsewhere.
func TestWhatIsHandedOverTakesThePlaceOfWhatWasThere(t *testing.T) {
	t.Parallel()
	provider, err := devidp.Start(devidp.Config{ClientID: handedClient})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	folder, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(folder, "session-key"), []byte("old"), 0o600))
	must(os.Chmod(filepath.Join(folder, "session-key"), 0o644)) // whatever the umask
	must(os.WriteFile(elsewhere, []byte("mine"), 0o600))
	must(os.Symlink(elsewhere, filepath.Join(folder, "client-secret")))
	must(handOver(folder, "localhost:8080", provider))
	entries, err := os.ReadDir(folder)
	must(err)
	for _, e := range entries {
		info, err := e.Info()
		must(err)
		if got := info.Mode(); got != 0o600 {
			t.Errorf("%s: mode %v, want a file for the owner alone", e.Name(), got)
		}
	}
	if len(entries) != 2 {
		t.Errorf("got %d files, want two", len(entries))
	}
	if got, err := os.ReadFile(elsewhere); err != nil || string(got) != "mine" {
		t.Errorf("behind the link: got %q, %v", got, err)
	}
}

func TestWhatCannotBeHandedOverLeavesNothing(t *testing.T) {
	t.Parallel()
	provider, err := devidp.Start(devidp.Config{ClientID: handedClient})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	folder := t.TempDir()
	for _, name := range []string{"client-secret", "session-key"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := handOver(folder, "localhost:8080", provider); err == nil || strings.Contains(err.Error(), folder) {
		t.Errorf("got %v, want the cause in a few words", err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 2 {
		t.Errorf("got %v, %v, want the two folders alone", entries, err)
	}
}
