package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vestibule/idp/devidp"
	"vestibule/secret"
)

// From the configuration file to the token: a client of ours gets one with its own key, and the log tells who.
func TestServeAnswersMachineClientsFromTheFile(t *testing.T) {
	provider, err := devidp.Start(devidp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	public, admin := freeAddress(t), freeAddress(t)
	own := filepath.Join(t.TempDir(), "own")
	if err := os.WriteFile(own, []byte("hunter2-of-the-billing-service\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "vestibule.yaml")
	text := "machine:\n  enabled: true\n  clients:\n    - {id: billing, secret: 'file:" + own + "', scopes: [vestibule/read]}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "serve", "--config="+file, "--listen="+public, "--admin_listen="+admin, "--public_url=http://"+public,
		"--provider.issuer="+provider.Issuer(), "--provider.client_id="+provider.ClientID(), "--provider.client_secret="+provider.ClientSecret(),
		"--session.keys="+secret.GenerateKey())
	c := newBrowser(t)
	until(t, "readiness says yes", func() bool { status, _ := get(t, c, "http://"+admin+"/readyz"); return status == http.StatusOK })
	for range 3 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+public+"/oauth2/token", strings.NewReader("grant_type=client_credentials"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("billing", "hunter2-of-the-billing-service")
		res, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"access_token":"ey`) {
			t.Fatalf("got %d %s, %v, want a token", res.StatusCode, body, err)
		}
	}
	if got := provider.Stats().ClientCredentials.Asked; got != 1 {
		t.Errorf("the provider was asked %d times, want once", got)
	}
	if _, body := get(t, c, "http://"+admin+"/metrics"); !strings.Contains(body, `vestibule_machine_answers_total{cache="hit"} 2`) || !strings.Contains(body, "vestibule_machine_tokens 1") {
		t.Error("the metrics do not count two hits and one token")
	}
	c.Transport.(*http.Transport).CloseIdleConnections()
	stopped(t, p)
	log := p.errw.String()
	if strings.Count(log, `"msg":"machine token issued","client":"billing","scope":"vestibule/read"`) != 3 || strings.Contains(log, "hunter2") {
		t.Errorf("the audit is not three lines, or holds a secret:\n%s", log)
	}
}
