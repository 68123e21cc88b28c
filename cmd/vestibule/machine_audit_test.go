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

// Who keeps the log short must not lose the audit with it.
func TestTheAuditIsWrittenWhateverTheLevelOfTheLog(t *testing.T) {
	provider, err := devidp.Start(devidp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	public, admin := freeAddress(t), freeAddress(t)
	file := filepath.Join(t.TempDir(), "vestibule.yaml")
	text := "machine:\n  enabled: true\n  clients:\n    - {id: billing, secret: hunter2-of-the-billing-service, scopes: [vestibule/read]}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "serve", "--config="+file, "--log.level=error", "--listen="+public, "--admin_listen="+admin, "--public_url=http://"+public,
		"--provider.issuer="+provider.Issuer(), "--provider.client_id="+provider.ClientID(), "--provider.client_secret="+provider.ClientSecret(),
		"--session.keys="+secret.GenerateKey())
	c := newBrowser(t)
	until(t, "readiness says yes", func() bool { status, _ := get(t, c, "http://"+admin+"/readyz"); return status == http.StatusOK })
	for key, want := range map[string]int{"hunter2-of-the-billing-service": http.StatusOK, "guessed": http.StatusUnauthorized} {
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
			t.Errorf("got %d, want %d", res.StatusCode, want)
		}
	}
	c.Transport.(*http.Transport).CloseIdleConnections()
	stopped(t, p)
	log := p.errw.String()
	for _, line := range []string{
		`"msg":"machine token issued","client":"billing","scope":"vestibule/read","cache":"miss","expires_in":3`,
		`"msg":"machine token denied","client":"billing","why":"secret","address":"127.0.0.1"`,
	} {
		if strings.Count(log, line) != 1 {
			t.Errorf("the audit lacks %s:\n%s", line, log)
		}
	}
	if got := strings.Count(log, `"address":"127.0.0.1"`); got != 2 {
		t.Errorf("%d lines say where the request came from, want both", got)
	}
	if strings.Contains(log, `"msg":"request"`) || strings.Contains(log, "hunter2") || strings.Contains(log, "guessed") {
		t.Errorf("the log tells more than the audit at this level, or a secret:\n%s", log)
	}
}
